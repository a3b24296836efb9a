// Stops and starts the reading of a socket at once.
//
// With `pause()` alone an accepted socket reads until its own buffer is full: 64 KiB and more, for each waiting socket. Node
// stops the handle only for sockets made with `onread`. For other sockets this file stops the handle, and keeps the
// stream's own read-ahead, which runs a tick later, from starting it again.

import type {Socket} from 'node:net';

/** The internal parts of Node's socket that reading depends on. */
interface Inside {
  _handle?: {reading: boolean; readStop(): number} | null;
  _read: (size: number) => void;
}

/** Replaces `_read` of a socket that must not be read, and records that the stream has asked for more. */
interface NoRead {
  (): void;
  asked?: boolean;
}

/** Bytes that the kernel has received stay there until `readOn`. Idempotent. */
export function stopReading(socket: Socket): void {
  const inside = socket as unknown as Inside;
  if (!Object.hasOwn(socket, '_read')) {
    const noRead: NoRead = () => {
      noRead.asked = true;
    };
    inside._read = noRead;
  }
  socket.pause();
  const handle = inside._handle;
  if (handle?.reading !== true) return;
  handle.reading = false;
  handle.readStop();
}

export function readOn(socket: Socket): void {
  const inside = socket as unknown as Inside;
  let asked: boolean | undefined = false;
  if (Object.hasOwn(socket, '_read')) {
    asked = (inside._read as NoRead).asked;
    // Node's own `_read` is on the prototype.
    delete (inside as Partial<Inside>)._read;
  }
  socket.resume();
  // The stream waits for a read that it has already requested, and requests no other.
  if ((asked || inside._handle?.reading === false) && !socket.connecting && !socket.destroyed)
    inside._read(0);
}
