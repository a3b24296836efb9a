// Resets a connection although its end may be on its way already.

import type {Socket} from 'node:net';

/** How long the end that is on its way may take, ms. */
const END_TIMEOUT_MS = 1_000;

/**
 * The peer sees a reset, now or soon. Two traps lie on the way. While a FIN is being sent libuv refuses to reset (EINVAL),
 * and Node would forget the handle without closing it: the connection would stay open for ever; so the FIN goes first.
 * And what closes the TCP socket below TLS from within a callback of that TLS ends the process with SIGSEGV.
 *
 * @param raw the TCP socket below `socket`, where that is TLS.
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
  // A turn later: 'finish' is a callback of the socket as well.
  const finished = () => void setImmediate(reset);
  socket.once('finish', finished);
  socket.once('close', stop);
}
