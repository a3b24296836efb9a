// Resets a connection although its end may already be under way.

import type {Socket} from 'node:net';

/** How long a FIN that is under way may take, ms. */
const END_TIMEOUT_MS = 1_000;

/**
 * The peer sees a reset, now or soon. There are two traps. While a FIN is being sent libuv refuses to reset (EINVAL),
 * and Node would forget the handle without closing it, so the connection would stay open for ever. So the FIN goes first.
 * And closing the TCP socket below TLS from a callback of that TLS ends the process with SIGSEGV.
 *
 * @param raw the TCP socket below `socket`, when that is TLS.
 */
export function resetSocket(socket: Socket, raw: Socket = socket): void {
  if (socket === raw) resetNow(socket, raw);
  else setImmediate(resetNow, socket, raw);
}

function resetNow(socket: Socket, raw: Socket): void {
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
    socket.off('finish', finished);
  };
  // A turn later, because 'finish' is a callback of the socket as well.
  const finished = () => void setImmediate(reset);
  socket.once('finish', finished);
  socket.once('close', stop);
}
