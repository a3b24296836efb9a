// Reads accepted sockets without allocations, as `onread` does for dialled ones: Node allocates 64 KiB for each read of an
// accepted socket.

import type {Socket} from 'node:net';
import {canReadInto, type OnRead, readInto, sharedBuffer} from '../net/own-buffers.js';

/**
 * From now on the bytes of `socket` go to `onRead`; they are valid until it returns. False: the socket has bytes or a state from
 * before, or this Node works in another way, and the caller must listen for `data`.
 */
export function readAccepted(socket: Socket, onRead: OnRead): boolean {
  const handle = (socket as unknown as {_handle?: {reading?: unknown} | null})._handle;
  const isFresh = handle?.reading === true && socket.readableFlowing === null && socket.readableLength === 0;
  if (!isFresh || socket.readableEnded || !canReadInto(socket)) return false;
  readInto(socket, {first: sharedBuffer(), onRead});
  return true;
}
