// An IP address as bytes, in any spelling.

import {isIP} from 'node:net';

/**
 * 4 bytes for IPv4, 16 for IPv6; undefined for a text that is no address. An IPv4 address inside an IPv6 one
 * (`::ffff:192.0.2.1`) has 4 bytes. A scope (`%eth0`) is left out: it means something on one machine only.
 */
export function addressBytes(address: string): Buffer | undefined {
  const [plain = ''] = address.split('%');
  const family = isIP(plain);
  if (family === 0) return undefined;
  if (family === 4) return Buffer.from(plain.split('.').map(Number));
  // The URL parser has one spelling for each address: hex groups, with at most one `::`.
  const [left = '', right] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split('::');
  const head = groupsOf(left);
  const tail = groupsOf(right ?? '');
  const bytes = Buffer.alloc(16);
  head.forEach((group, at) => void bytes.writeUInt16BE(group, 2 * at));
  tail.forEach((group, at) => void bytes.writeUInt16BE(group, 16 - 2 * (tail.length - at)));
  return bytes.subarray(0, 12).equals(MAPPED) ? bytes.subarray(12) : bytes;
}

const MAPPED: Readonly<Buffer> = Buffer.from('00000000000000000000ffff', 'hex');

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

/** The usual spelling of 4 or 16 bytes. */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({length: 8}, (_, at) => bytes.readUInt16BE(2 * at).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
