// The address of a connection. It is read once, at the accept, because a connection has no address after a reset.

import type {Socket} from 'node:net';
import {sourceOf} from '../../net/source-of.js';

export interface Peer {
  /** An IPv4 address has its own form, even when it arrives over IPv6. */
  readonly address: string;
  readonly port: number;
  /** As `sourceOf` gives it. */
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
