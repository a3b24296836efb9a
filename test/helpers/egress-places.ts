// Destinations for tests of egress.

import {createSocket, type Socket as UdpSocket} from 'node:dgram';
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

/** A socket that answers each datagram with its sender and the same bytes: `127.0.0.2 40000 text`. */
export async function startUdpEcho(
  scope: Scope,
  host = '127.0.0.1',
): Promise<{port: number; socket: UdpSocket}> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (datagram, {address, port}) =>
    socket.send(
      Buffer.concat([Buffer.from(`${address} ${port} `), datagram]).subarray(0, 65_507),
      port,
      address,
    ),
  );
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  scope.onEnd(() => new Promise((resolve) => void socket.close(resolve)));
  return {port: socket.address().port, socket};
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
