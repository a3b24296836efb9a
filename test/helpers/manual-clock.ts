// A clock that stands still until the test moves it, and knows which timers are pending.
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

  /** Runs the timers that are due in the next `ms`, in order of time. */
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

  /** The process is stopped for `ms`: all timers that were due meanwhile run now, late. */
  jump(ms: number): void {
    this.#now += ms;
    this.advance(0);
  }
}
