// Listens on an address, and explains in the error why that fails.

import type {Server as HttpServer} from 'node:http';
import type {Server} from 'node:net';
import {systemCode, TunlError} from '../../core/errors.js';
import {formatHostPort, type HostPort} from '../../protocol/targets.js';
import type {Part} from '../part.js';

/**
 * Connections that the system may queue for a busy relay. It drops further ones silently: their peers believe that they
 * are connected, and wait for a second. Most systems queue no more than this.
 */
export const BACKLOG = 4096;

/** Resolves with the actual address. @throws TunlError LISTEN_* */
export function listenOn(
  server: Server | HttpServer,
  {host, port}: HostPort,
  reusePort: boolean,
): Promise<HostPort> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const code = systemCode(error);
      const where = formatHostPort(host, port);
      const known = {EADDRINUSE: 'LISTEN_IN_USE', EACCES: 'LISTEN_FORBIDDEN'} as const;
      const mine = code === 'EADDRINUSE' || code === 'EACCES' ? known[code] : 'LISTEN_FAILED';
      reject(new TunlError(mine, {reason: `Cannot listen on ${where} (${code}).`, cause: error}));
    };
    server.once('error', failed);
    server.listen({host, port, backlog: BACKLOG, reusePort}, () => {
      server.off('error', failed);
      // Such as no free descriptors: the relay continues with its open connections.
      server.on('error', () => {});
      const address = server.address();
      resolve({host, port: typeof address === 'object' && address !== null ? address.port : port});
    });
  });
}

/** A server that listens from the start of the relay until it drains. */
export class Listener implements Part {
  readonly #server: Server;
  readonly #at: HostPort;
  readonly #reusePort: boolean;
  #address: HostPort;

  constructor(server: Server, {at, reusePort}: {at: HostPort; reusePort: boolean}) {
    this.#server = server;
    this.#at = at;
    this.#reusePort = reusePort;
    this.#address = at;
  }

  /** The actual address, once it listens. */
  get address(): HostPort {
    return this.#address;
  }

  async start(): Promise<void> {
    this.#address = await listenOn(this.#server, this.#at, this.#reusePort);
  }

  drain(): void {
    this.#server.close();
  }

  close(): void {
    this.#server.close();
  }
}
