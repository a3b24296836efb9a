// A person's password, kept as a scrypt hash in memory. Checks are few at a time, because each one costs tens of milliseconds.

import {randomBytes, scrypt, timingSafeEqual} from '../../../core/node-crypto.js';

/** 16 MiB and about 40 ms: the hash lives only as long as the process. */
const COST = {N: 2 ** 14, r: 8, p: 1};
const KEY_BYTES = 32;
/** Node has four threads for this and for files. */
const MAX_RUNNING = 2;
const MAX_WAITING = 16;

export class Password {
  readonly #salt = randomBytes(16);
  readonly #hash: Promise<Buffer>;
  readonly #waiting: Array<() => void> = [];
  #running = 0;

  constructor(password: string) {
    this.#hash = this.#derive(password);
  }

  /** Undefined: too many checks are under way. */
  async matches(password: string): Promise<boolean | undefined> {
    if (this.#running >= MAX_RUNNING) {
      if (this.#waiting.length >= MAX_WAITING) return undefined;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      return timingSafeEqual(await this.#derive(password), await this.#hash);
    } finally {
      // The place goes to the next one.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #derive(password: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      scrypt(password.normalize('NFC'), this.#salt, KEY_BYTES, COST, (error, key) =>
        error === null ? resolve(key) : reject(error),
      );
    });
  }
}
