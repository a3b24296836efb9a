// Decides what is told: each thing once in a while, and never more than a few at a time. Strangers and programs cause the
// things, so their number has no limit.

import {systemClock} from './clock.js';
export interface SeldomOptions {
  /** The things that may be told at once, and the number a second after that. */
  readonly burst: number;
  readonly perSecond: number;
}

/** The same thing again after this long, ms. */
const AGAIN_MS = 30_000;
const MOST_REMEMBERED = 256;

export class Seldom {
  readonly #options: SeldomOptions;
  readonly #toldAt = new Map<string, number>();
  #left: number;
  #filledAt = 0;

  constructor(options: SeldomOptions) {
    this.#options = options;
    this.#left = options.burst;
  }

  /** True: tell it. It counts as told then. @param now ms, monotonic */
  mayTell(thing: string, now = systemClock.now()): boolean {
    const {burst, perSecond} = this.#options;
    const before = this.#toldAt.get(thing);
    if (before !== undefined && now - before < AGAIN_MS) return false;
    this.#left = Math.min(burst, this.#left + ((now - this.#filledAt) / 1_000) * perSecond);
    this.#filledAt = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    this.#toldAt.delete(thing);
    const [oldest] = this.#toldAt.keys();
    if (this.#toldAt.size >= MOST_REMEMBERED && oldest !== undefined) this.#toldAt.delete(oldest);
    this.#toldAt.set(thing, now);
    return true;
  }
}
