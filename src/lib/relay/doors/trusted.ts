// Addresses that many people share: a load balancer, a company's gateway. Limits by source do not apply to them.

import {AddressRanges} from '../../net/address-ranges.js';

export type TrustCheck = (address: string) => boolean;

/** @param ranges addresses or `ADDRESS/PREFIX`. @throws TunlError OPTION_INVALID */
export function trustedSources(ranges: readonly string[]): TrustCheck {
  if (ranges.length === 0) return () => false;
  const trusted = new AddressRanges(ranges);
  return (address) => trusted.has(address);
}
