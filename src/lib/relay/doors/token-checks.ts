// Limits the tokens that are being checked at the same time: an issuer's keys may have to be fetched first.

import {Counts} from '../limits/counts.js';

const MOST_OF_SOURCE = 32;
const MOST = 1_024;

export class TokenChecks {
  readonly #ofSources = new Counts();
  #count = 0;

  /** Returns the function that ends the check. Undefined: too many are running already. */
  begin(source: string, isTrusted: boolean): (() => void) | undefined {
    if (this.#count >= MOST) return undefined;
    if (this.#ofSources.of(source) >= MOST_OF_SOURCE && !isTrusted) return undefined;
    this.#count += 1;
    this.#ofSources.add(source, 1);
    return () => {
      this.#count -= 1;
      this.#ofSources.add(source, -1);
    };
  }
}
