// Replaces secrets in a stream of output, also where a piece ends inside one.

import {StringDecoder} from 'node:string_decoder';

const MASK = '…';

export class SecretFilter {
  readonly #secrets: readonly string[];
  readonly #decoder = new StringDecoder('utf8');
  #held = '';

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.filter((each) => each !== '');
  }

  push(bytes: Buffer): string {
    const text = this.#clean(this.#held + this.#decoder.write(bytes));
    const keep = this.#beginsAt(text);
    this.#held = text.slice(keep);
    return text.slice(0, keep);
  }

  /** The rest. */
  end(): string {
    const rest = this.#clean(this.#held + this.#decoder.end());
    this.#held = '';
    return rest;
  }

  #clean(text: string): string {
    return this.#secrets.reduce((rest, secret) => rest.replaceAll(secret, MASK), text);
  }

  /** From where on the text may be the beginning of a secret. */
  #beginsAt(text: string): number {
    const ends = this.#secrets.map((secret) => {
      for (let length = Math.min(secret.length - 1, text.length); length > 0; length--)
        if (secret.startsWith(text.slice(-length))) return text.length - length;
      return text.length;
    });
    return Math.min(text.length, ...ends);
  }
}
