// Destinations for tests of egress.

import {once} from 'node:events';
import {createServer, type Server, type Socket} from 'node:net';
import type {Duplex, Readable} from 'node:stream';
import type {Scope} from './scope.js';

/** A server that tells the address and the port of its peer in a line, and then sends back what it gets. */
export async function startEcho(scope: Scope, host = '127.0.0.1', port = 0): Promise<number> {
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => {});
    socket.write(`${socket.remoteAddress} ${socket.remotePort}\n`);
    socket.pipe(socket);
  });
  return await scope.listen(server, host, port);
}

/** A server that keeps its sockets for the test. */
export async function startKeeper(scope: Scope): Promise<{port: number; sockets: Socket[]; server: Server}> {
  const sockets: Socket[] = [];
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  return {port: await scope.listen(server), sockets, server};
}

/** The first line of an echo, in words. */
export async function peerOf(stream: Readable): Promise<{address: string; port: number}> {
  let line = '';
  while (!line.includes('\n')) {
    const [piece] = (await once(stream, 'data')) as [Buffer];
    line += piece.toString();
  }
  const [address = '', port] = line.trim().split(' ');
  return {address, port: Number(port)};
}

/** Resolves with the error of its end, if any. */
export function closed(stream: Duplex): Promise<Error | null> {
  return new Promise((resolve) => {
    if (stream.closed) resolve(stream.errored);
    else stream.once('close', () => resolve(stream.errored));
  });
}
