// A client of the proxy that speaks SOCKS 5: who it is, and where it wants to go.

import type {Socket} from 'node:net';
import {readOn} from '../../bytes/reading.js';
import type {HostPort} from '../../protocol/targets.js';
import {readFirst} from './first-bytes.js';
import type {ProxySecret} from './secret.js';
import {
  chooseMethod,
  loginMessage,
  methodMessage,
  readGreeting,
  readLogin,
  readRequest,
  replyMessage,
  SOCKS_METHOD,
} from './socks.js';

const GREETING_BYTES = 257;
const LOGIN_BYTES = 513;
const REQUEST_BYTES = 262;

/** The destination; undefined when the client was refused, or has gone. The socket is ended then. */
export async function greetSocks(
  socket: Socket,
  secret: ProxySecret | undefined,
): Promise<HostPort | undefined> {
  const methods = await readFirst(socket, readGreeting, GREETING_BYTES);
  if (methods === undefined) return leave(socket);
  const method = chooseMethod(methods, secret !== undefined);
  if (method === SOCKS_METHOD.noneFits) return leave(socket, methodMessage(method));
  socket.write(methodMessage(method));
  if (method === SOCKS_METHOD.password) {
    const login = await readFirst(socket, readLogin, LOGIN_BYTES);
    if (login === undefined) return leave(socket);
    const isRight = secret === undefined || secret.is(login.password);
    if (!isRight) return leave(socket, loginMessage(false));
    socket.write(loginMessage(true));
  }
  const request = await readFirst(socket, readRequest, REQUEST_BYTES);
  if (request === undefined) return leave(socket);
  return typeof request === 'number' ? leave(socket, replyMessage(request)) : request;
}

/** From the last message until a client that still sends is cut off, ms: a reset at once could overtake the message. */
const LINGER_MS = 2_000;

/** The client gets the message, and then the end. */
export function leave(socket: Socket, message?: Buffer): undefined {
  if (message === undefined) {
    socket.destroy();
    return;
  }
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.end(message);
  readOn(socket);
}
