// Visitors who wait for an upstream that is not there yet: for how long, how many at once, and when it is dialled again.

import {type Clock, systemClock} from '../core/clock.js';

/** Delay before the second dial, ms; it doubles up to the longest. */
const FIRST_MS = 100;
const LONGEST_MS = 250;

/** Each visitor may have a window of bytes here, and dials four times a second. */
const MAX_WAITING = 256;

export class UpstreamWait {
  readonly #waitMs: number;
  readonly #clock: Clock;
  #waiting = 0;

  /** @param waitMs 0: no visitor waits. */
  constructor(waitMs: number, clock: Clock = systemClock) {
    this.#waitMs = waitMs;
    this.#clock = clock;
  }

  /** For a visitor whose first dial begins now. */
  begin(): WaitingVisitor {
    if (this.#waitMs <= 0) return NO_WAIT;
    let until = this.#clock.now() + this.#waitMs;
    let delayMs = FIRST_MS;
    let counted = false;
    let stop = () => {};
    return {
      get waits() {
        return counted;
      },
      again: (dial) => {
        const leftMs = until - this.#clock.now();
        if (leftMs <= 0 || (!counted && this.#waiting >= MAX_WAITING)) return false;
        if (!counted) this.#waiting += 1;
        counted = true;
        const timer = this.#clock.after(Math.min(delayMs, leftMs), dial);
        stop = timer.cancel;
        delayMs = Math.min(LONGEST_MS, delayMs * 2);
        return true;
      },
      end: () => {
        stop();
        if (counted) this.#waiting -= 1;
        counted = false;
        until = 0;
      },
    };
  }
}

export interface WaitingVisitor {
  /** A dial has failed, and there will be another. */
  readonly waits: boolean;
  /** Runs `dial` a little later. False: the time has passed, or too many wait. */
  again(dial: () => void): boolean;
  /** The visitor was served or refused, or has left. Idempotent. */
  end(): void;
}

const NO_WAIT: WaitingVisitor = {waits: false, again: () => false, end: () => {}};
