// Ports of this machine that other members of a network can connect to.

import type {Socket} from 'node:net';
import type {SocketRead} from '../bytes/socket-reads.js';
import {withReader} from '../bytes/socket-reads.js';
import {TunlError} from '../core/errors.js';
import {dialUntil, openSocket} from '../net/dial.js';
import {checkHost, checkPort, type HostPort} from '../protocol/targets.js';
import {allowsIn, type InRule} from './allow-in.js';
import type {AcceptConnection} from './connections.js';

export interface ServedPort {
  /** The port of the member. */
  readonly port: number;
  /** The service that gets its connections. */
  readonly to: HostPort;
}

/** A service on this machine answers sooner, ms. */
const DIAL_MS = 10_000;

/** `PORT`, `PORT:LOCAL` or `PORT:HOST:LOCAL`. @throws TunlError TARGET_INVALID, PORT_RANGE */
export function readServedPort(text: string): ServedPort {
  const [, port, host = 'localhost', local = port] =
    /^(\d+)(?::(?:(\[[^\]]+\]|[^:]+):)?(\d+))?$/.exec(text.trim()) ?? [];
  if (port === undefined) {
    throw new TunlError('TARGET_INVALID', {
      reason: `${JSON.stringify(text)} is no port to serve.`,
      next: 'Write it like 8000, or 8000:3000 where the service listens on another port.',
    });
  }
  return {port: checkPort(Number(port)), to: {host: checkHost(host), port: checkPort(Number(local))}};
}

export class ServedPorts {
  readonly #ports = new Map<number, HostPort>();
  readonly #rules: readonly InRule[];

  constructor(rules: readonly InRule[]) {
    this.#rules = rules;
  }

  add({port, to}: ServedPort): void {
    this.#ports.set(port, to);
  }

  delete(port: number): void {
    this.#ports.delete(port);
  }

  readonly accept: AcceptConnection = async (from, port, signal, reader) => {
    if (!allowsIn(this.#rules, from, port))
      throw new TunlError('NOT_ALLOWED', {reason: 'The member does not take this connection.'});
    const to = this.#ports.get(port);
    if (to === undefined)
      throw new TunlError('UPSTREAM_REFUSED', {reason: `The member serves no port ${port}.`});
    return await dialService(to, signal, reader);
  };
}

function dialService(
  {host, port}: HostPort,
  signal: AbortSignal,
  reader: (() => SocketRead) | undefined,
): Promise<Socket> {
  return dialUntil(signal, {
    host,
    port,
    timeoutMs: DIAL_MS,
    open: (address, at) => withReader(reader?.(), (options) => openSocket(address, at, options)),
  });
}
