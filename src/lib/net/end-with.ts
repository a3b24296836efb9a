// The last bytes for a peer and the end of its connection, whatever the peer does.

import type {Duplex} from 'node:stream';
import {type Clock, systemClock} from '../core/clock.js';

/** How long the peer may take to read the answer and to close, ms. */
const LINGER_MS = 2_000;

/** Closes the socket when the peer has read the answer and closed its side, or after a short time. */
export function endWith(socket: Duplex, answer: string, clock: Clock = systemClock): void {
  const timer = clock.after(LINGER_MS, () => socket.destroy());
  socket.on('error', () => {});
  socket.once('close', () => timer.cancel());
  // Later bytes of the peer are discarded: unread bytes at the close would reset the connection and lose the answer.
  socket.on('data', () => {});
  socket.end(answer);
}
