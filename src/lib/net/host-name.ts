// Host names and addresses in one spelling, so that two spellings of one host are never two hosts.

import {isIP} from 'node:net';
import {domainToASCII} from 'node:url';
import {addressBytes, addressText} from './address-bytes.js';

/** RFC 1035 §2.3.4, without the dot at the end. */
const MAX_NAME = 253;

const NAME = /^(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/** Browsers and resolvers read such a name as an IPv4 address: `127.1`, `0x7f.1`, `2130706433`. */
const ENDS_IN_NUMBER = /(^|\.)(\d+|0x[0-9a-f]*)$/;

/** Lower case, in ASCII, without a dot at the end. Undefined: this is no host name, or an address. */
export function hostName(text: string): string | undefined {
  if (text.length > 4 * MAX_NAME) return undefined;
  // An escape or a delimiter of URLs has no place in a name, and `domainToASCII` would decode it.
  if (/[%/\\?#@:[\]\s]/.test(text)) return undefined;
  const ascii = domainToASCII(text).toLowerCase().replace(/\.$/, '');
  if (ascii.length === 0 || ascii.length > MAX_NAME || ENDS_IN_NUMBER.test(ascii)) return undefined;
  return NAME.test(ascii) ? ascii : undefined;
}

/** The usual spelling of an IP address; an IPv4 address inside an IPv6 one is the IPv4 address. Undefined: it is none. */
export function plainAddress(text: string): string | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined;
  const bytes = addressBytes(text);
  return bytes === undefined ? undefined : addressText(bytes);
}
