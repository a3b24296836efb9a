// The probes of all workers as one: each probes a tunnel of its own, and the relay is as well as the worst of them.

import type {Clock} from '../../core/clock.js';
import type {ProbeState} from './probe-state.js';

/** A worker that has told nothing for this long hangs, ms: more than two probes with their time limits. */
const SILENT_MS = 90_000;

export class ProbesOfWorkers<Worker extends {readonly number: number}> {
  readonly #clock: Clock;
  readonly #told = new Map<Worker, {state: ProbeState; at: number}>();

  constructor({clock}: {clock: Clock}) {
    this.#clock = clock;
  }

  set(worker: Worker, state: ProbeState): void {
    this.#told.set(worker, {state, at: this.#clock.now()});
  }

  left(worker: Worker): void {
    this.#told.delete(worker);
  }

  /** Undefined before the first probe. */
  get state(): ProbeState | undefined {
    let worst: ProbeState | undefined;
    for (const [worker, {state, at}] of this.#told) {
      const isSilent = this.#clock.now() - at > SILENT_MS;
      const now = isSilent ? silent(worker.number, state) : state;
      if (worst === undefined || rank(now) > rank(worst)) worst = now;
    }
    return worst;
  }
}

function rank({ok, ready}: ProbeState): number {
  return ready ? (ok ? 0 : 1) : 2;
}

function silent(number: number, last: ProbeState): ProbeState {
  const reason = `worker ${number} does not answer`;
  return {...last, ok: false, ready: false, leg: 'session', reason};
}
