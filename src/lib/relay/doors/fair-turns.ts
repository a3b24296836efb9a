// Spreads expensive work over turns of the event loop, and shares it fairly between sources.

import type {Clock} from '../../core/clock.js';

export interface FairTurnsOptions {
  /** The most jobs in one turn; other connections' bytes pass between two turns. */
  perTurn: number;
  clock: Pick<Clock, 'soon'>;
}

export class FairTurns {
  readonly #options: FairTurnsOptions;
  /** Sources with waiting jobs; the first one is next. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #done = 0;
  #armed = false;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
  }

  /** Runs the job now if this turn has room and no job waits; otherwise after one job of each other waiting source. */
  run(source: string, job: () => void): void {
    if (this.#done < this.#options.perTurn && this.#waiting.size === 0) {
      this.#do(job);
      return;
    }
    this.later(source, job);
  }

  /** True while jobs wait. */
  get busy(): boolean {
    return this.#waiting.size > 0;
  }

  /** Runs the job in a later turn, after one job of each other waiting source. */
  later(source: string, job: () => void): void {
    const jobs = this.#waiting.get(source);
    if (jobs === undefined) this.#waiting.set(source, [job]);
    else jobs.push(job);
    this.#arm();
  }

  #do(job: () => void): void {
    this.#done += 1;
    this.#arm();
    job();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#options.clock.soon(this.#nextTurn);
  }

  readonly #nextTurn = (): void => {
    this.#armed = false;
    this.#done = 0;
    while (this.#done < this.#options.perTurn) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [source, jobs] = next;
      this.#waiting.delete(source);
      const job = jobs.shift();
      if (jobs.length > 0) this.#waiting.set(source, jobs);
      if (job !== undefined) this.#do(job);
    }
  };
}
