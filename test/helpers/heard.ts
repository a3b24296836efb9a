// All that a socket hears, while it may still speak: `text` of node:stream/consumers destroys a socket in some versions of Node.
import {once} from 'node:events';
import type {Socket} from 'node:net';

/** Until the end of its peer's direction. */
export async function heardBy(socket: Socket): Promise<string> {
  let heard = '';
  socket.setEncoding('utf8').on('data', (piece: string) => {
    heard += piece;
  });
  await once(socket, 'end');
  return heard;
}
