// The addresses that a tunnel takes visitors from.

import {AddressRanges} from './address-ranges.js';

export class AddressFilter {
  readonly #allow: AddressRanges | undefined;
  readonly #deny: AddressRanges | undefined;
  /** Visitors that were refused. */
  refused = 0;

  /** @throws TunlError OPTION_INVALID */
  constructor({allow = [], deny = []}: {allow?: readonly string[]; deny?: readonly string[]}) {
    this.#allow = allow.length > 0 ? new AddressRanges(allow) : undefined;
    this.#deny = deny.length > 0 ? new AddressRanges(deny) : undefined;
  }

  /** A denied address stays out, also when a range that is allowed has it. Without allowed ranges all others come in. */
  admits(address: string): boolean {
    if (this.#deny?.has(address)) return false;
    return this.#allow?.has(address) ?? true;
  }
}
