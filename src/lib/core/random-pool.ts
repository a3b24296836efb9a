// Random bytes for many short values. A call of the system's source costs the same 10 to 30 µs for 16 bytes and for thousands.

import {randomFillSync} from './node-crypto.js';

const POOL_BYTES = 4_096;

export class RandomPool {
  #bytes = new Uint8Array(0);
  #at = 0;

  /** Bytes that nobody gets again. */
  readonly take = (size: number): Uint8Array => {
    if (this.#at + size > this.#bytes.length) {
      this.#bytes = randomFillSync(new Uint8Array(Math.max(POOL_BYTES, size)));
      this.#at = 0;
    }
    const taken = this.#bytes.slice(this.#at, this.#at + size);
    // They are kept in no second place.
    this.#bytes.fill(0, this.#at, this.#at + size);
    this.#at += size;
    return taken;
  };
}
