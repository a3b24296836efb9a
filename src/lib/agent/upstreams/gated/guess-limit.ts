// Limits guesses: a few at once, then one in each interval, for each address and for all addresses together.

import {systemClock} from '../../../core/clock.js';
import {sourceOf} from '../../../net/source-of.js';

interface Budget {
  readonly atOnce: number;
  readonly everyMs: number;
}

/** A person who mistypes is not kept out. */
const EACH: Budget = {atOnce: 10, everyMs: 2_000};
/** Someone with many addresses. Visitors who are in already are not counted, so this keeps out new ones alone. */
const ALL: Budget = {atOnce: 100, everyMs: 200};
/** The addresses that are remembered; the oldest is forgotten. */
const MAX_ADDRESSES = 4_096;

class Guesses {
  #left: number;
  #at: number;
  readonly #budget: Budget;

  constructor(budget: Budget, now: number) {
    this.#budget = budget;
    this.#left = budget.atOnce;
    this.#at = now;
  }

  has(now: number): boolean {
    const {atOnce, everyMs} = this.#budget;
    this.#left = Math.min(atOnce, this.#left + (now - this.#at) / everyMs);
    this.#at = now;
    return this.#left >= 1;
  }

  spend(): void {
    this.#left -= 1;
  }

  giveBack(): void {
    this.#left = Math.min(this.#budget.atOnce, this.#left + 1);
  }
}

export class GuessLimit {
  readonly #now: () => number;
  readonly #all: Guesses;
  readonly #byAddress = new Map<string, Guesses>();

  /** @param now ms of a clock that does not go back */
  constructor(now: () => number = systemClock.now) {
    this.#now = now;
    this.#all = new Guesses(ALL, now());
  }

  /**
   * Takes one guess. Undefined: there is none left now, and the caller must not compare. Otherwise a function that gives it
   * back, for a guess that was right.
   */
  take(address: string): (() => void) | undefined {
    const now = this.#now();
    const each = this.#of(sourceOf(address), now);
    // Both are asked, so that both know the time.
    const [hasEach, hasAll] = [each.has(now), this.#all.has(now)];
    if (!hasEach || !hasAll) return undefined;
    each.spend();
    this.#all.spend();
    return () => {
      each.giveBack();
      this.#all.giveBack();
    };
  }

  #of(source: string, now: number): Guesses {
    const known = this.#byAddress.get(source) ?? new Guesses(EACH, now);
    // The last one used is the newest.
    this.#byAddress.delete(source);
    this.#byAddress.set(source, known);
    if (this.#byAddress.size > MAX_ADDRESSES) {
      const [oldest] = this.#byAddress.keys();
      this.#byAddress.delete(oldest as string);
    }
    return known;
  }
}
