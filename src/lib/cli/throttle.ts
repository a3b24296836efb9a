// Limits the lines about connections to a number a second, then prints a sum.

import {type Clock, systemClock} from '../core/clock.js';

/** More lines a second than anybody reads. The others are counted. */
const LINES_A_SECOND = 20;

export class Throttle {
  readonly #clock: Clock;
  #second = Number.NEGATIVE_INFINITY;
  #shown = 0;
  #hidden = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Whether one more line may be shown, and how many were left out since the last one. */
  admit(): {shown: boolean; hidden: number} {
    const now = this.#clock.now();
    if (now - this.#second >= 1000) {
      this.#second = now;
      this.#shown = 0;
    }
    if (this.#shown >= LINES_A_SECOND) {
      this.#hidden += 1;
      return {shown: false, hidden: 0};
    }
    this.#shown += 1;
    const hidden = this.#hidden;
    this.#hidden = 0;
    return {shown: true, hidden};
  }
}
