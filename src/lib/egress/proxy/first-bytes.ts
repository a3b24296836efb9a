// Reads the messages at the beginning of a connection, each with a limit of bytes. Later bytes stay in the socket.

import type {Socket} from 'node:net';
import type {Read} from './socks.js';

/**
 * Undefined: the bytes are no such message, the client has gone, or it ended before the end of the message. The owner of the
 * socket limits the time.
 */
export function readFirst<T>(
  socket: Socket,
  parse: (bytes: Buffer) => Read<T>,
  mostBytes: number,
): Promise<T | undefined> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0);
    const settle = (value: T | undefined) => {
      socket.off('readable', read).off('end', over).off('close', over);
      resolve(value);
    };
    const over = () => settle(undefined);
    const read = () => {
      for (let piece = socket.read() as Buffer | null; piece !== null; piece = socket.read()) {
        bytes = bytes.length === 0 ? piece : Buffer.concat([bytes, piece]);
        const result = parse(bytes);
        if (result === undefined && bytes.length < mostBytes) continue;
        if (result === undefined || result === 'invalid') return settle(undefined);
        const rest = bytes.subarray(result.length);
        settle(result.value);
        if (rest.length > 0) socket.unshift(rest);
        return;
      }
    };
    socket.on('readable', read).on('end', over).on('close', over);
    // Bytes that came before this listener make no event.
    if (socket.destroyed || socket.readableEnded) over();
    else if (socket.readableLength > 0) read();
  });
}
