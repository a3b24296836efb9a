// The secret of one run of a proxy. Every user of this machine can connect to a port of loopback.

import {createHash, randomBytes, timingSafeEqual} from '../../core/node-crypto.js';

/** The user name in the URL; any other one is taken as well. */
export const PROXY_USER = 'tunl';

export class ProxySecret {
  readonly text: string;
  readonly #hash: Buffer;

  /** @param text Default: a new one, of 128 random bits. It is safe in a URL and in a shell. */
  constructor(text = randomBytes(16).toString('hex')) {
    this.text = text;
    this.#hash = hashOf(text);
  }

  /** Takes the same time for all wrong ones. */
  is(given: Buffer | string): boolean {
    return timingSafeEqual(hashOf(given), this.#hash);
  }

  /** For the value of `Proxy-Authorization`. */
  isIn(header: string): boolean {
    const [, encoded] = /^basic +([a-z0-9+/_=-]+)$/i.exec(header.trim()) ?? [];
    if (encoded === undefined) return false;
    const text = Buffer.from(encoded, 'base64');
    const at = text.indexOf(':');
    return at >= 0 && this.is(text.subarray(at + 1));
  }
}

function hashOf(text: Buffer | string): Buffer {
  return createHash('sha256').update(text).digest();
}
