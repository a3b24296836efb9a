// Tells of refused look-ups and connections, at a rate that a program cannot drive up.

import type {RefusalReason} from './policy.js';

export interface Refusal {
  /** The name, or the address where no name is known. */
  readonly host: string;
  /** Undefined for a look-up. */
  readonly port: number | undefined;
  readonly why: RefusalReason;
  /** Refusals since the last event that got none of their own. */
  readonly untold: number;
}

/** The same host, port and reason again after this long, ms. */
const AGAIN_MS = 30_000;
const MAX_REMEMBERED = 256;
const PER_SECOND = 5;
const BURST = 20;

export class Refusals {
  readonly #onRefused: (refusal: Refusal) => void;
  readonly #toldAt = new Map<string, number>();
  #tokens = BURST;
  #filledAt = 0;
  #untold = 0;

  constructor(onRefused: (refusal: Refusal) => void) {
    this.#onRefused = onRefused;
  }

  tell(host: string, port: number | undefined, why: RefusalReason, now = performance.now()): void {
    const key = `${host}:${port ?? ''} ${why}`;
    const before = this.#toldAt.get(key);
    if (before !== undefined && now - before < AGAIN_MS) {
      this.#untold += 1;
      return;
    }
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAt) / 1_000) * PER_SECOND);
    this.#filledAt = now;
    if (this.#tokens < 1) {
      this.#untold += 1;
      return;
    }
    this.#tokens -= 1;
    this.#toldAt.delete(key);
    const [oldest] = this.#toldAt.keys();
    if (this.#toldAt.size >= MAX_REMEMBERED && oldest !== undefined) this.#toldAt.delete(oldest);
    this.#toldAt.set(key, now);
    const untold = this.#untold;
    this.#untold = 0;
    this.#onRefused({host, port, why, untold});
  }
}
