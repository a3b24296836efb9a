// The random names of a relay. It knows them again by a code at their end: an owner with the right to random names gets its
// own one back, also when the lease is over, and cannot choose a name that only looks like one of them.

import {createHmac, timingSafeEqual} from '../../core/node-crypto.js';
import {RandomPool} from '../../core/random-pool.js';
import {base32, isRandomLabel} from '../../protocol/names.js';

/** 80 bits: 16 characters. */
const RANDOM_BYTES = 10;
const RANDOM_CHARACTERS = 16;
/** 50 bits. An agent may bind 20 names a second: to find the code of a chosen name it would try for a million years. */
const CODE_CHARACTERS = 10;

export class RandomNames {
  readonly #key: Buffer;
  readonly #random = new RandomPool();

  /** @param key 32 random bytes */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** A new name. To guess it without the key is to guess 130 bits. */
  draw(): string {
    const random = base32(this.#random.take(RANDOM_BYTES));
    return random + this.#codeOf(random);
  }

  /** True for a name that was drawn with this key. */
  has(label: string): boolean {
    if (!isRandomLabel(label)) return false;
    const code = this.#codeOf(label.slice(0, RANDOM_CHARACTERS));
    return timingSafeEqual(Buffer.from(code), Buffer.from(label.slice(RANDOM_CHARACTERS)));
  }

  #codeOf(random: string): string {
    return base32(createHmac('sha256', this.#key).update(random).digest()).slice(0, CODE_CHARACTERS);
  }
}
