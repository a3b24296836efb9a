// Addresses that many people share: a load balancer, a company's gateway. Limits by source do not apply to them.

import {AddressRanges} from '../../net/address-ranges.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';

/** The sources that are trusted now. */
export class TrustedSources implements Part {
  #check: TrustCheck;

  /** @throws TunlError OPTION_INVALID */
  constructor(ranges: readonly string[]) {
    this.#check = trustedSources(ranges);
  }

  readonly includes: TrustCheck = (address) => this.#check(address);

  reload({trustedSources: ranges}: Pick<RelaySettings, 'trustedSources'>): void {
    this.#check = trustedSources(ranges);
  }
}

export type TrustCheck = (address: string) => boolean;

/** @param ranges addresses or `ADDRESS/PREFIX`. @throws TunlError OPTION_INVALID */
export function trustedSources(ranges: readonly string[]): TrustCheck {
  if (ranges.length === 0) return () => false;
  const trusted = new AddressRanges(ranges);
  return (address) => trusted.has(address);
}
