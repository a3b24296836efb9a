// The places that did not answer, and when each may be tried again.

import {type Clock, systemClock} from '../core/clock.js';

/** Above this number all are forgotten: they only save time. */
const MOST = 1_000;

export class FailedPlaces {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #waits = new Map<string, {until: number; ms: number}>();

  constructor(clock: Pick<Clock, 'now'> = systemClock) {
    this.#clock = clock;
  }

  mayTry(place: string): boolean {
    return this.#clock.now() >= (this.#waits.get(place)?.until ?? 0);
  }

  /** The place is left alone for `firstMs`, and after each further failure twice as long, at most `longestMs`. */
  failed(place: string, firstMs: number, longestMs: number = firstMs): void {
    const before = this.#waits.get(place)?.ms;
    if (this.#waits.size > MOST) this.#waits.clear();
    const ms = before === undefined ? firstMs : Math.min(longestMs, before * 2);
    this.#waits.set(place, {until: this.#clock.now() + ms, ms});
  }

  /** The place works: its next failure is the first one. */
  worked(place: string): void {
    this.#waits.delete(place);
  }
}
