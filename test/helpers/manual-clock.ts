// A clock that stands still until the test moves it, and knows which timers are left.
import type {Clock, Timer} from '../../src/lib/core/clock.js';

interface Pending {
  at: number;
  fn: () => void;
}

export class ManualClock implements Clock {
  #now = 0;
  readonly #pending = new Set<Pending>();

  /** Timers that neither ran nor were cancelled. */
  get pending(): number {
    return this.#pending.size;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void): Timer {
    const entry = {at: this.#now + ms, fn};
    this.#pending.add(entry);
    return {cancel: () => void this.#pending.delete(entry)};
  }

  soon(fn: () => void): void {
    setImmediate(fn);
  }

  /** Runs, in order of time, what falls due in the next `ms`. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#pending].filter((entry) => entry.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#pending.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.fn();
    }
    this.#now = until;
  }

  /** The process stands still for `ms`: what fell due meanwhile runs late, all of it now. */
  jump(ms: number): void {
    this.#now += ms;
    this.advance(0);
  }
}
