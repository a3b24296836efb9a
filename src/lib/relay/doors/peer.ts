// The address of a connection. It is read once, at the accept, because a connection has no address after a reset.

import {isIPv6, type Socket} from 'node:net';

export interface Peer {
  /** An IPv4 address has its own form, even when it arrives over IPv6. */
  readonly address: string;
  readonly port: number;
  /** The unit for limits: an IPv4 address, or the /64 of an IPv6 address, because one host can use all of a /64. */
  readonly source: string;
}

/** The method of the handle that Node asks for the address. */
interface Handle {
  getpeername?(to: {address?: string; port?: number}): number;
}

/**
 * Undefined when the connection was reset before the accept.
 *
 * The handle is asked first: `remoteAddress` keeps the answer in a property of its own, which gives the socket another shape, and
 * Node's code for all sockets becomes slower with each shape that it sees.
 */
export function peerOf(socket: Socket): Peer | undefined {
  const handle = (socket as unknown as {_handle?: Handle | null})._handle;
  const found: {address?: string; port?: number} = {};
  const isAsked = handle?.getpeername?.(found) === 0;
  const remoteAddress = isAsked ? found.address : socket.remoteAddress;
  const remotePort = isAsked ? found.port : socket.remotePort;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  if (!remoteAddress.includes(':')) return {address: remoteAddress, port: remotePort, source: remoteAddress};
  const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/i, '');
  return {address, port: remotePort, source: sourceOf(address)};
}

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
