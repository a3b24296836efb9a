// The rights by which one connection is in: when one of them ends, so does the connection.

import type {Stay} from './gate.js';

export class Stays {
  readonly #onOver: () => void;
  readonly #held = new Map<Stay, () => void>();

  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  hold(stays: readonly Stay[]): void {
    for (const stay of stays) if (!this.#held.has(stay)) this.#held.set(stay, stay.onOver(this.#onOver));
  }

  release(): void {
    for (const release of this.#held.values()) release();
    this.#held.clear();
  }
}
