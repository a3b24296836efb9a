// Stops and starts the reading of a socket at once.
//
// With `pause()` alone an accepted socket reads until its own buffer is full: 64 KiB and more, for each waiting socket. Node
// stops the handle only for sockets made with `onread`. For other sockets this file stops the handle, and keeps the
// stream's own read-ahead, which runs a tick later, from starting it again.

import type {Socket} from 'node:net';

/** Node starts no handle that reads already, and takes each true value for that. */
const STOPPED = 'stopped';

/**
 * The internal parts of Node's socket that reading depends on. Both properties exist from the start: one of its own would give
 * the socket another shape, and Node's code for all sockets becomes slower with each shape that it sees.
 */
interface Inside {
  _handle?: {reading: boolean | typeof STOPPED; readStop(): number} | null;
  _read: (size: number) => void;
}

/** Bytes that the kernel has received stay there until `readOn`. Idempotent. */
export function stopReading(socket: Socket): void {
  socket.pause();
  const handle = (socket as unknown as Inside)._handle;
  if (!handle || handle.reading === STOPPED) return;
  if (handle.reading) handle.readStop();
  handle.reading = STOPPED;
}

export function readOn(socket: Socket): void {
  const inside = socket as unknown as Inside;
  const handle = inside._handle;
  if (handle?.reading === STOPPED) handle.reading = false;
  socket.resume();
  // The stream may wait for a read that it has requested before, and request no other.
  if (handle?.reading === false && !socket.connecting && !socket.destroyed) inside._read(0);
}
