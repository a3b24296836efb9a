// The rights by which one connection is in: when one of them ends, so does the connection.

import type {Stay} from './gate.js';

export class Stays {
  readonly #onOver: () => void;
  readonly #held = new Map<Stay, () => void>();
  #isReleased = false;

  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  /** Does nothing after `release`: a visitor may leave while a password is checked. */
  hold(stays: readonly Stay[]): void {
    if (this.#isReleased) return;
    for (const stay of stays) if (!this.#held.has(stay)) this.#held.set(stay, stay.onOver(this.#onOver));
  }

  /** The connection is closed. */
  release(): void {
    this.#isReleased = true;
    for (const release of this.#held.values()) release();
    this.#held.clear();
  }
}
