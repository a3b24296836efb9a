// Reads accepted sockets without allocations, as `onread` does for dialled ones: Node allocates 64 KiB for each read of an
// accepted socket, and passes it through its stream's buffer, events and a tick.
//
// Node takes `onread` only in the constructor of a socket, and a server constructs its sockets itself. The option ends up
// in two properties, which each socket has from the start, and in a call of the handle. This file does the same later.

import {Socket} from 'node:net';

/** `buffer`: the bytes are at its start, only until it returns. False: the socket must not be read until `resume`. */
export type OnRead = (bytes: number, buffer: Buffer) => boolean;

interface Inside {
  _handle?: {reading?: unknown; useUserBuffer?: (buffer: Buffer) => void} | null;
  [property: symbol]: unknown;
}

interface Properties {
  buffer: symbol;
  callback: symbol;
}

/** Reading is synchronous, so no two sockets use it at once. As large as the reads of Node. */
let shared: Buffer | undefined;
const ignore = (): boolean => true;
let properties: Properties | 'unknown' | undefined;

/**
 * From now on the bytes of `socket` go to `onRead`. False: the socket has bytes or a state from before, or this Node works in
 * another way, and the caller must listen for `data`.
 */
export function readAccepted(socket: Socket, onRead: OnRead): boolean {
  properties ??= findProperties() ?? 'unknown';
  const inside = socket as unknown as Inside;
  const handle = inside._handle;
  if (properties === 'unknown' || typeof handle?.useUserBuffer !== 'function') return false;
  const isFresh = handle.reading === true && socket.readableFlowing === null && socket.readableLength === 0;
  if (!isFresh || socket.readableEnded || inside[properties.buffer] !== null) return false;
  shared ??= Buffer.allocUnsafeSlow(64 * 1024);
  handle.useUserBuffer(shared);
  inside[properties.callback] = onRead;
  inside[properties.buffer] = shared;
  return true;
}

/** The socket is closed: it refers no longer to the reader of its bytes. */
export function forgetReader(socket: Socket): void {
  if (properties === undefined || properties === 'unknown') return;
  const inside = socket as unknown as Inside;
  if (inside[properties.buffer] === shared) inside[properties.callback] = ignore;
}

/** The properties have no names that other code can use, so a socket without a handle shows where its options are. */
function findProperties(): Properties | undefined {
  const buffer = new Uint8Array(1);
  const callback = () => true;
  const socket = new Socket({onread: {buffer, callback}});
  const inside = socket as unknown as Inside;
  const symbols = Object.getOwnPropertySymbols(socket);
  const found = {
    buffer: symbols.find((symbol) => inside[symbol] === buffer),
    callback: symbols.find((symbol) => inside[symbol] === callback),
  };
  socket.destroy();
  return found.buffer === undefined || found.callback === undefined ? undefined : (found as Properties);
}
