// The relay visits its own tunnel through its public name, every 30 seconds, and says which leg fails.

import type {Clock, Timer} from '../../core/clock.js';
import type {RelayEvents} from '../events.js';
import type {Part} from '../part.js';
import type {OwnTunnel} from './own-tunnel.js';
import type {ProbeLeg, ProbeState} from './probe-state.js';
import type {PublicDial} from './public-dial.js';

const EVERY_MS = 30_000;
/** A result that differs from the known state is checked again after this time, so that one lost packet changes nothing, ms. */
const CONFIRM_MS = 5_000;
/** After the start, ms. */
const FIRST_MS = 1_000;

export interface SelfProbeOptions {
  tunnel: OwnTunnel;
  dial: Pick<PublicDial, 'name'>;
  /** False: the relay has no port yet. A worker is ready before the others are, and before the relay listens. */
  isListening: () => boolean;
  /** Called before a probe that follows a failed one, and before the first: visitors of the name must come to this process. */
  claim: () => Promise<void>;
  /** Called after each probe. */
  onState?: ((state: ProbeState) => void) | undefined;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
}

type Result = Pick<ProbeState, 'ok' | 'leg' | 'reason' | 'ms'> & {
  /** After DNS or TCP has failed: whether the rest works. */
  inside: boolean;
};

export class SelfProbe implements Part {
  readonly #options: SelfProbeOptions;
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #state: ProbeState | undefined;
  /** The last result differs from the state. */
  #isDoubtful = false;
  #proven = false;
  #failedAt = 0;

  constructor(options: SelfProbeOptions) {
    this.#options = options;
  }

  /** Undefined before the end of the first probe. */
  get state(): ProbeState | undefined {
    return this.#state;
  }

  start(): void {
    this.#later(FIRST_MS);
  }

  /** The relay ends: what does not work from now on is no fault. */
  drain(): void {
    this.close();
  }

  close(): void {
    this.#stop.abort();
    this.#timer?.cancel();
    this.#options.tunnel.rest();
  }

  #later(ms: number): void {
    this.#timer = this.#options.clock.after(ms, () => void this.#probe());
  }

  async #probe(): Promise<void> {
    const {claim, onState, isListening} = this.#options;
    if (!isListening()) {
      this.#later(FIRST_MS);
      return;
    }
    if (this.#state?.ok !== true || this.#isDoubtful) await claim().catch(() => {});
    const result = await this.#visit().catch(broken);
    if (this.#stop.signal.aborted) return;
    this.#take(result);
    if (this.#state !== undefined) onState?.(this.#state);
    this.#later(this.#isDoubtful ? CONFIRM_MS : EVERY_MS);
  }

  async #visit(): Promise<Result> {
    const {tunnel, dial, clock} = this.#options;
    const {signal} = this.#stop;
    let openedAt: number | undefined;
    using issued = tunnel.issue(() => {
      openedAt = clock.now();
    });
    const end = await dial.name(tunnel.host, {secret: issued.secret, signal});
    const now = clock.now();
    const {session: last = 0, ...ms} = end.ms;
    if (end.ok) {
      const upstream = Math.min(last, now - (openedAt ?? now));
      tunnel.rest();
      return {
        ok: true,
        leg: undefined,
        reason: undefined,
        ms: {...ms, session: last - upstream, upstream},
        inside: true,
      };
    }
    const leg: ProbeLeg = end.leg === 'session' && openedAt !== undefined ? 'upstream' : end.leg;
    const {reason} = end;
    let inside = false;
    if (leg === 'dns' || leg === 'tcp') {
      using again = tunnel.issue(() => {});
      inside = (await dial.name(tunnel.host, {secret: again.secret, signal, inside: true})).ok;
    }
    tunnel.rest();
    return {ok: false, leg, reason, ms, inside};
  }

  #take({ok, leg, reason, ms, inside}: Result): void {
    const {events, clock} = this.#options;
    const before = this.#state;
    const at = Date.now();
    if (before !== undefined && before.ok !== ok && !this.#isDoubtful) {
      this.#isDoubtful = true;
      this.#state = {...before, at};
      return;
    }
    this.#isDoubtful = false;
    this.#proven ||= ok;
    const ready = ok || (inside && !this.#proven);
    this.#state = {ok, leg, reason, at, ms, proven: this.#proven, ready};
    if (!ok && leg !== undefined && reason !== undefined && (before?.ok !== false || before.leg !== leg)) {
      if (before?.ok !== false) this.#failedAt = clock.now();
      events.emit({type: 'probe-failed', leg, reason, ready});
    }
    if (ok && before?.ok === false)
      events.emit({type: 'probe-recovered', failedForMs: Math.round(clock.now() - this.#failedAt)});
  }
}

/** The relay itself has a fault: it must say so rather than end. */
const broken = (error: unknown): Result => ({
  ok: false,
  leg: 'session',
  reason: String(error),
  ms: {},
  inside: false,
});
