// Decides when to try again. Full jitter keeps a thousand agents of a restarted relay from coming back in one second.

import {type Clock, systemClock} from './clock.js';

/** Upper bound of the first wait, ms. */
const FIRST_MS = 250;
/** Upper bound of any wait, ms. */
const CAP_MS = 20_000;
/** Upper bound of a wait after an attempt without an answer, ms. */
const UNANSWERED_MS = 2_000;
/** A link that held for this long, ms, resets the back-off. */
const STABLE_MS = 60_000;

export interface BackoffOptions {
  clock?: Clock;
  /** 0 ≤ random() < 1. */
  random?: () => number;
}

export interface WaitLimits {
  /** The wait that the peer asked for (Retry-After); jitter is added to it. */
  atLeastMs?: number | undefined;
  /** Upper bound of the jitter of this wait, if it must be lower than usual. */
  capMs?: number | undefined;
}

/** Full jitter: uniform in [0, min(cap, first·2ⁿ)) (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015). */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Doublings of the first wait. */
  #grown = 0;
  #upSince: number | undefined;

  constructor(options: BackoffOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  /** The link is up; it counts as stable after a minute. */
  succeeded(): void {
    this.#upSince = this.#clock.now();
  }

  /** The link has carried data: it resets the back-off, even if it breaks soon. */
  proven(): void {
    this.#grown = 0;
  }

  /** The next wait in ms. */
  next({atLeastMs = 0, capMs = CAP_MS}: WaitLimits = {}): number {
    this.#settle();
    const ceiling = Math.min(CAP_MS, capMs, FIRST_MS * 2 ** Math.min(this.#grown, 30));
    this.#grown += 1;
    return atLeastMs + this.#random() * ceiling;
  }

  /**
   * The next wait in ms after an attempt that timed out without an answer. The attempt itself was a wait already, and no
   * overloaded peer is behind it. So this wait is short: the agent is back soon after the network is.
   */
  nextUnanswered(): number {
    this.#settle();
    return this.#random() * UNANSWERED_MS;
  }

  /** A wait of at most `ms` that ends in the second half of that time. */
  nextWithin(ms: number): number {
    this.#settle();
    return ms * (0.5 + this.#random() / 2);
  }

  /** The link is lost. It resets the back-off if it held for a minute. */
  #settle(): void {
    if (this.#upSince !== undefined && this.#clock.now() - this.#upSince >= STABLE_MS) this.#grown = 0;
    this.#upSince = undefined;
  }
}
