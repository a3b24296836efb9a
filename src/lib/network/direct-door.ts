// A TCP port of this machine where other members connect directly. Strangers can connect as well: they have a short time to show
// the key of a member, and few places.

import {createServer, isIPv6, type Server, type Socket} from 'node:net';
import {networkInterfaces} from 'node:os';
import {keepAlive} from '../net/keep-alive.js';
import {formatHostPort} from '../protocol/targets.js';
import {listenOn} from '../relay/doors/listen.js';

export interface DirectOptions {
  /** Default: all addresses of this machine. */
  host?: string;
  /** Default: a free one. */
  port?: number;
  /** The places that other members try, as `HOST:PORT` with IP addresses. Default: the addresses of this machine's interfaces. */
  at?: readonly string[];
}

export interface DirectDoor {
  readonly port: number;
  /** Where others find it. */
  readonly at: readonly string[];
  close(): void;
}

/** Strangers, whose handshakes are under way: together, and from one address. */
const MOST_STRANGERS = 64;
const MOST_OF_ONE = 8;
const MOST_CONNECTIONS = 2_048;
const MOST_PLACES = 4;

/**
 * @param take resolves when the connection has proved to come from a member, or is over
 * @throws TunlError LISTEN_*
 */
export async function openDirectDoor(
  {host, port = 0, at}: DirectOptions,
  take: (socket: Socket) => Promise<void>,
): Promise<DirectDoor> {
  const strangers = new Map<string, number>();
  let pending = 0;
  const open = new Set<Socket>();
  const server: Server = createServer({noDelay: true, pauseOnConnect: true}, (socket) => {
    socket.on('error', () => {});
    const from = socket.remoteAddress ?? '';
    const ofOne = strangers.get(from) ?? 0;
    if (pending >= MOST_STRANGERS || ofOne >= MOST_OF_ONE || open.size >= MOST_CONNECTIONS) {
      socket.resetAndDestroy();
      return;
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    keepAlive(socket);
    pending += 1;
    strangers.set(from, ofOne + 1);
    void take(socket).finally(() => {
      pending -= 1;
      const left = (strangers.get(from) ?? 1) - 1;
      if (left > 0) strangers.set(from, left);
      else strangers.delete(from);
    });
  });
  const listening = await listenAnywhere(server, host, port);
  server.unref();
  const isAny = host === undefined || host === '::' || host === '0.0.0.0';
  const hosts = isAny ? ownAddresses() : [listening.host];
  return {
    port: listening.port,
    at: at ?? hosts.slice(0, MOST_PLACES).map((each) => formatHostPort(each, listening.port)),
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** A kernel without IPv6 has no `::`. */
async function listenAnywhere(server: Server, host: string | undefined, port: number) {
  if (host !== undefined) return await listenOn(server, {host, port}, false);
  try {
    return await listenOn(server, {host: '::', port}, false);
  } catch {
    return await listenOn(server, {host: '0.0.0.0', port}, false);
  }
}

/** Addresses that another machine may reach, IPv4 first: it is the one that works in most local networks. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const usable = all.filter(({internal, address}) => !internal && !/^(fe80:|169\.254\.)/i.test(address));
  const addresses = usable.map(({address}) => address);
  return [...addresses.filter((each) => !isIPv6(each)), ...addresses.filter((each) => isIPv6(each))];
}
