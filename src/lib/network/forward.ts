// A port of this machine that leads to a port of a member.

import {createServer, type Socket} from 'node:net';
import {resetSocket} from '../bytes/reset.js';
import {type TunlError, toTunlError} from '../core/errors.js';
import {formatHostPort, listenAddress} from '../protocol/targets.js';
import {listenOn} from '../relay/doors/listen.js';
import type {Membership} from './membership.js';
import type {MemberPort} from './target.js';

export interface ForwardedMember extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `host:port` */
  readonly address: string;
  /** Open connections now. */
  readonly connections: number;
  /** Takes no more connections, and resets the open ones. Idempotent. */
  close(): Promise<void>;
}

export interface ForwardMemberOptions {
  readonly to: MemberPort;
  /** `HOST:PORT` of this machine. Default `127.0.0.1:0`: a free port. */
  readonly listen?: string | undefined;
  /** A connection was not made; it is reset. */
  readonly onFailed: (error: TunlError) => void;
}

/** Open connections of one port. */
const MOST_OPEN = 4_096;

/** @throws TunlError LISTEN_*, OPTION_INVALID */
export async function forwardMember(
  membership: Pick<Membership, 'carry'>,
  {to, listen = '127.0.0.1:0', onFailed}: ForwardMemberOptions,
): Promise<ForwardedMember> {
  const open = new Set<Socket>();
  const ends = new AbortController();
  const server = createServer({allowHalfOpen: true, noDelay: true, pauseOnConnect: true}, (socket) => {
    socket.on('error', () => {});
    if (open.size >= MOST_OPEN) {
      socket.resetAndDestroy();
      return;
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    membership.carry(socket, {to: to.name, port: to.port, signal: ends.signal}).catch((error: unknown) => {
      const isGone = socket.destroyed || ends.signal.aborted;
      resetSocket(socket);
      if (!isGone) onFailed(toTunlError(error));
    });
  });
  const at = await listenOn(server, listenAddress(listen), false);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      ends.abort();
      server.close(() => resolve());
      for (const socket of open) resetSocket(socket);
    });
    return closing;
  };
  return {
    ...at,
    address: formatHostPort(at.host, at.port),
    get connections() {
      return open.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
