// Limits what happens at each source: a burst, and then a rate a second.

import type {Clock} from '../../core/clock.js';

/** The most sources in one set of buckets. Beyond it the oldest source is forgotten, and its bucket is full again. */
const MAX_SOURCES = 16_384;

export interface TokenBucketRate {
  /** The tokens of a full bucket. */
  readonly burst: number;
  /** The tokens that come back each second. */
  readonly perSecond: number;
}

export interface BucketOptions extends TokenBucketRate {
  clock: Clock;
}

interface Spent {
  amount: number;
  /** The rate at which it becomes less. */
  perSecond: number;
  /** The time at which `amount` was correct, ms. */
  at: number;
}

export class TokenBuckets {
  readonly #options: BucketOptions;
  /** Sources with a full bucket need no entry. */
  readonly #spent = new Map<string, Spent>();

  constructor(options: BucketOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#spent.size;
  }

  /** True when this source has at least one whole token. @param rate its own one. Default: that of all sources. */
  has(source: string, {burst}: TokenBucketRate = this.#options): boolean {
    return this.#now(source) <= burst - 1;
  }

  /** The amount may become negative, by one burst at the most, because many attempts may fail at the same time. */
  spend(source: string, cost = 1, {burst, perSecond}: TokenBucketRate = this.#options): void {
    const amount = Math.min(this.#now(source) + cost, 2 * burst);
    if (!this.#spent.has(source)) this.#makeRoom();
    this.#spent.set(source, {amount, perSecond, at: this.#options.clock.now()});
  }

  /** Time until there is a whole token again, ms. */
  waitMs(source: string, {burst, perSecond}: TokenBucketRate = this.#options): number {
    return Math.max(0, Math.ceil(((this.#now(source) - burst + 1) / perSecond) * 1_000));
  }

  #now(source: string): number {
    const spent = this.#spent.get(source);
    if (spent === undefined) return 0;
    const left = spent.amount - ((this.#options.clock.now() - spent.at) / 1_000) * spent.perSecond;
    if (left > 0) return left;
    this.#spent.delete(source);
    return 0;
  }

  /** Each new entry checks two of the oldest ones, so that full buckets do not pile up. */
  #makeRoom(): void {
    let looks = 2;
    for (const source of this.#spent.keys()) {
      if (looks === 0) break;
      looks -= 1;
      this.#now(source);
    }
    const [first] = this.#spent.keys();
    if (this.#spent.size >= MAX_SOURCES && first !== undefined) this.#spent.delete(first);
  }
}
