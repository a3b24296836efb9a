// Addresses that many people share: a load balancer, a company's gateway. Limits by source do not apply to them.

import {BlockList, isIP} from 'node:net';
import {TunlError} from '../../core/errors.js';

export type TrustCheck = (address: string) => boolean;

/** @param ranges addresses or `ADDRESS/PREFIX`. @throws TunlError OPTION_INVALID */
export function trustedSources(ranges: readonly string[]): TrustCheck {
  if (ranges.length === 0) return () => false;
  // A BlockList is only a set of address ranges; here they are trusted ones.
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix, ...more] = range.split('/');
    const bits = isIP(address) === 6 ? 128 : 32;
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
    if (isIP(address) === 0 || length < 0 || length > bits || more.length > 0) {
      throw new TunlError('OPTION_INVALID', {
        reason: `${JSON.stringify(range)} is neither an address nor a range of addresses.`,
        next: 'Give one like 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32.',
      });
    }
    list.addSubnet(address, length, bits === 128 ? 'ipv6' : 'ipv4');
  }
  return (address) => {
    const bare = address.split('%')[0] ?? '';
    const family = isIP(bare);
    return family !== 0 && list.check(bare, family === 6 ? 'ipv6' : 'ipv4');
  };
}
