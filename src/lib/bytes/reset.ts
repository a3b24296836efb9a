// Resets a connection although its end may be on its way already.

import type {Socket} from 'node:net';

/** How long the end that is on its way may take, ms. */
const END_TIMEOUT_MS = 1_000;

/**
 * The peer sees a reset. While a FIN is being sent libuv refuses to reset (EINVAL), and Node would forget the handle
 * without closing it: the connection would stay open for ever. So the FIN goes first.
 *
 * @param raw the TCP socket below `socket`, where that is TLS.
 */
export function resetSocket(socket: Socket, raw: Socket = socket): void {
  const reset = () => {
    raw.resetAndDestroy();
    if (socket !== raw) socket.destroy();
  };
  const ending = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (!ending || socket.destroyed) {
    reset();
    return;
  }
  const timer = setTimeout(() => socket.destroy(), END_TIMEOUT_MS);
  const stop = () => {
    clearTimeout(timer);
    socket.off('finish', reset);
  };
  socket.once('finish', reset);
  socket.once('close', stop);
}
