// Listening where the relay was told to, with an error that says why it cannot.

import type {Server as HttpServer} from 'node:http';
import type {Server} from 'node:net';
import {systemCode, TunlError} from '../core/errors.js';
import {formatHostPort, type HostPort} from '../protocol/targets.js';

/**
 * Connections that the system may hold for a busy relay. Beyond, it drops them in silence, and their peers, who believe that
 * they are connected, hear nothing for a second. Most systems hold no more than this.
 */
export const BACKLOG = 4096;

/** Resolves with the address that it became. @throws TunlError LISTEN_* */
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
      // Out of descriptors, say: the relay goes on with what it has.
      server.on('error', () => {});
      const address = server.address();
      resolve({host, port: typeof address === 'object' && address !== null ? address.port : port});
    });
  });
}
