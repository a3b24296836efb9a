// Ports of this machine that lead to one destination each, by an egress.

import {createServer, type Socket} from 'node:net';
import {TunlError} from '../core/errors.js';
import {checkHost, checkPort, formatHostPort, type HostPort} from '../protocol/targets.js';
import {carry} from './carry.js';
import type {EgressClient} from './client.js';
import {type EgressPort, LocalPort} from './local-port.js';

export interface ForwardedPort extends EgressPort {
  /** `host:port` of the destination. */
  readonly destination: string;
}

export interface PortForward {
  /** On loopback. 0: a free port. */
  readonly localPort: number;
  readonly to: HostPort;
}

/** `HOST:PORT` or `LOCAL:HOST:PORT`, where LOCAL is a port of this machine. @throws TunlError TARGET_INVALID, PORT_* */
export function readForward(text: string): PortForward {
  const [, local, rest = ''] = /^(?:(\d+):)?(.+)$/.exec(text.trim()) ?? [];
  // `[::1]:80` has colons of its own. `5432:80` would be a host without a name.
  const [, host, port] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(rest) ?? [];
  if (host === undefined || host === '') {
    throw new TunlError('TARGET_INVALID', {
      reason: `${JSON.stringify(text)} is not HOST:PORT or LOCAL:HOST:PORT.`,
      next: 'Write it like db.corp:5432, or 15432:db.corp:5432 with the port of this machine before it.',
    });
  }
  return {
    localPort: local === undefined ? 0 : checkPort(Number(local), {allowZero: true}),
    to: {host: checkHost(host), port: checkPort(Number(port))},
  };
}

export interface ForwardPortOptions extends PortForward {
  /** The address of this machine. Default 127.0.0.1. */
  readonly host?: string;
  /** A connection was not made. */
  readonly onFailed?: ((error: TunlError, destination: string) => void) | undefined;
}

/** @throws TunlError LISTEN_* */
export async function forwardPort(
  client: EgressClient,
  {localPort, to, host = '127.0.0.1', onFailed = () => {}}: ForwardPortOptions,
): Promise<ForwardedPort> {
  const server = createServer({allowHalfOpen: true, noDelay: true, pauseOnConnect: true});
  const destination = formatHostPort(to.host, to.port);
  const about = {client, to, onFailed: (error: TunlError) => onFailed(error, destination)};
  const serve = (socket: Socket, held: (cut: () => void) => void) => carry(socket, about, held);
  const port = await LocalPort.open(server, {host, port: localPort}, serve).catch((error: unknown) => {
    throw error instanceof TunlError && error.code === 'LISTEN_IN_USE' ? inUse(error) : error;
  });
  return Object.assign(port, {destination});
}

function inUse({message: reason, cause}: TunlError): TunlError {
  const next = 'Stop what listens there, or leave the first port out: then tunl takes a free one.';
  return new TunlError('LISTEN_IN_USE', {reason, next, cause});
}
