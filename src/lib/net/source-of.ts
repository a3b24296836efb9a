// The unit for limits: an IPv4 address, or the /64 of an IPv6 address, because one host can use all of a /64.

import {isIPv6} from 'node:net';

/** @param address as Node gives it; a scope (`%eth0`) is part of the source. */
export function sourceOf(address: string): string {
  const [bare = '', scope] = address.split('%');
  if (!isIPv6(bare)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  const [left = '', right] = bare.split('::');
  const groups = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':'));
  const head = groups(left);
  // A dotted quad at the end stands for two groups.
  const tail = groups(right).flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
  const gap = right === undefined ? 0 : 8 - head.length - tail.length;
  const all = [...head, ...Array<string>(gap).fill('0'), ...tail];
  const network = all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64${scope === undefined ? '' : `%${scope}`}`;
}
