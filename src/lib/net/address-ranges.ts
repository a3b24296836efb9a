// A set of IP addresses, given as addresses and ranges.

import {BlockList, isIP} from 'node:net';
import {TunlError} from '../core/errors.js';
import {addressBytes, addressText} from './address-bytes.js';

interface Range {
  /** In its usual spelling. An IPv4 address inside an IPv6 one has become the IPv4 address. */
  address: string;
  /** The number of leading bits that are the same in all addresses. */
  bits: number;
}

/** The bits of `::ffff:0:0/96`, before the IPv4 address. */
const MAPPED_BITS = 96;

export class AddressRanges {
  /** A BlockList is only a set of address ranges. One for each family: in a list with both, `::/0` has all IPv4 addresses. */
  readonly #four = new BlockList();
  readonly #six = new BlockList();

  /** @param ranges `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`. @throws TunlError OPTION_INVALID */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const {address, bits} = readRange(range);
      if (isIP(address) === 4) this.#four.addSubnet(address, bits, 'ipv4');
      else this.#six.addSubnet(address, bits, 'ipv6');
    }
  }

  /** @param address in any spelling; a scope (`%eth0`) has no effect. */
  has(address: string): boolean {
    if (isIP(address) === 4) return this.#four.check(address, 'ipv4');
    const bytes = addressBytes(address);
    if (bytes === undefined) return false;
    const plain = addressText(bytes);
    return bytes.length === 4 ? this.#four.check(plain, 'ipv4') : this.#six.check(plain, 'ipv6');
  }
}

/** @throws TunlError OPTION_INVALID */
export function readRange(range: string): Range {
  const [address = '', prefix, ...more] = range.split('/');
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const length = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  const bytes = family === 0 || address.includes('%') ? undefined : addressBytes(address);
  if (bytes === undefined || length < 0 || length > most || more.length > 0) {
    throw new TunlError('OPTION_INVALID', {
      reason: `${JSON.stringify(range.slice(0, 60))} is neither an address nor a range of addresses.`,
      next: 'Give one like 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32.',
    });
  }
  const isMapped = family === 6 && bytes.length === 4;
  // A range that begins with a mapped address and is larger than all of them: one of IPv6.
  if (isMapped && length < MAPPED_BITS) return {address, bits: length};
  return {address: addressText(bytes), bits: isMapped ? length - MAPPED_BITS : length};
}
