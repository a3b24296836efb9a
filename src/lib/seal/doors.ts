// The program that runs once in a new network namespace: it makes the listeners and hands them over to the process that holds
// the seal. Sockets stay in the namespace in which they were made. Its arguments are the addresses of the resolver, if they are
// not those of loopback.

import {createSocket, type Socket} from 'node:dgram';
import {createServer, type Server} from 'node:net';
import {DOORS, FIRST_DOOR, RESOLVER_PORT} from './ports.js';

/** The first two come with a handle. */
export type DoorMessage =
  | {readonly door: number}
  | {readonly resolver: 'udp4' | 'udp6'}
  /** All others have come. */
  | {readonly isComplete: true};

const BACKLOG = 128;
/** How often to look whether the process that holds the seal is still there, ms. */
const LOOK_MS = 200;

async function main(): Promise<void> {
  // A message waits until the socket before it has arrived, and nothing else would keep this process alive.
  process.channel?.ref();
  // Node tells nobody that the channel has ended while a handle waits for its answer, and the handle would keep this process.
  const look = setInterval(() => {
    if (!process.connected) process.kill(process.pid, 'SIGKILL');
  }, LOOK_MS);
  look.unref();
  for (let door = 0; door < DOORS; door += 1) {
    const server = await listen(FIRST_DOOR + door);
    await send({door}, server);
    // Two processes with one listener would share its connections.
    server.close();
  }
  const [, , four = '127.0.0.1', six = '::1'] = process.argv;
  for (const [resolver, address] of [
    ['udp4', four],
    ['udp6', six],
  ] as const) {
    const socket = await bind(resolver, address);
    if (socket === undefined) continue;
    await send({resolver}, socket);
    socket.close();
  }
  await send({isComplete: true});
  // On a busy machine this process may live on for a while, and the end that it makes itself is no failure.
  clearInterval(look);
  process.disconnect?.();
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('listening', () => resolve(server));
    server.once('error', reject);
    // Without a host: all addresses of both families, or of IPv4 where there is no other.
    server.listen({port, backlog: BACKLOG});
  });
}

function bind(type: 'udp4' | 'udp6', address: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(type);
    socket.once('error', (error) => (type === 'udp6' ? resolve(undefined) : reject(error)));
    socket.bind(RESOLVER_PORT, address, () => resolve(socket));
  });
}

function send(message: DoorMessage, handle?: Server | Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, handle, {}, (error) => (error === null ? resolve() : reject(error)));
  });
}

// Without its channel there is nobody to hand them over to.
if (process.send !== undefined) await main();
