// Spreads expensive work over turns of the event loop, and shares it fairly between sources.

import type {Clock} from '../../core/clock.js';
import {LinkedList, type ListNode} from '../../core/linked-list.js';

export interface FairTurnsOptions {
  /** The most jobs in one turn; other connections' bytes pass between two turns. */
  perTurn: number;
  clock: Pick<Clock, 'soon'>;
}

/** A job that returns false had nothing to do, and leaves its turn to the next one. */
export type Job = () => unknown;

export class FairTurns {
  readonly #options: FairTurnsOptions;
  /** Sources with waiting jobs; the first one is next. */
  readonly #waiting = new Map<string, LinkedList<Job>>();
  #done = 0;
  #armed = false;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
  }

  /** Runs the job now if this turn has room and no job waits; otherwise after one job of each other waiting source. */
  run(source: string, job: Job): void {
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
  later(source: string, job: Job): ListNode<Job> {
    let jobs = this.#waiting.get(source);
    if (jobs === undefined) {
      jobs = new LinkedList();
      this.#waiting.set(source, jobs);
    }
    this.#arm();
    return jobs.push(job);
  }

  /** The job does not run any more, and nothing of it is kept. @param job the result of `later` for this source */
  cancel(source: string, job: ListNode<Job>): void {
    const jobs = this.#waiting.get(source);
    jobs?.delete(job);
    if (jobs?.size === 0) this.#waiting.delete(source);
  }

  #do(job: Job): void {
    this.#arm();
    // It counts while it runs: it may ask for more.
    this.#done += 1;
    if (job() === false) this.#done -= 1;
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
      if (jobs.size > 0) this.#waiting.set(source, jobs);
      if (job !== undefined) this.#do(job);
    }
  };
}
