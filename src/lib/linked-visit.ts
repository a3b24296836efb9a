// The visitor's side of a private TCP tunnel: a connection that has shown the token of its link, for standard input and output
// or for the connections to a port of this machine.

import {createServer, type Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';
import {resetSocket} from './bytes/reset.js';
import {systemCode, TunlError} from './core/errors.js';
import {openingLine, readReply, type StreamReply} from './protocol/stream-link.js';
import {formatHostPort, type HostPort, listenAddress} from './protocol/targets.js';
import {listenOn} from './relay/doors/listen.js';
import {type VisitOptions, visit, visitedPlace} from './visit.js';

/** The service of the tunnel may take its time to accept: as long as visitors wait at the relay for a lost link. */
const REPLY_MS = 30_000;
/** Open connections of a port; each is a TLS connection to the relay. */
const MAX_CONNECTIONS = 256;

/** Where a link leads. Without a token: to a tunnel's TLS name that everybody may visit. */
export interface LinkPlace extends HostPort {
  token?: string;
}

/** `https://HOST[:PORT]/?tunl=TOKEN`, `HOST[:PORT]`. @throws TunlError TARGET_INVALID, PORT_RANGE, LINK_INVALID */
export function readLink(text: string): LinkPlace {
  const [, place = text, query] = /^([^?#]*)\?(.*)$/.exec(text.trim()) ?? [];
  if (query === undefined) return visitedPlace(place.trim());
  const token = new URLSearchParams(query).get('tunl');
  // It goes into one line.
  if (token !== null && /^[\x21-\x7e]{1,128}$/.test(token)) return {...visitedPlace(place), token};
  throw new TunlError('LINK_INVALID', {reason: 'The link has no token: give the whole of it.'});
}

export interface LinkedVisitOptions extends Omit<VisitOptions, 'host' | 'port'> {
  link: LinkPlace;
}

/** @throws TunlError as `visit`, LINK_INVALID, LINK_NEEDED, UPSTREAM_REFUSED */
export async function visitLink({link, ...options}: LinkedVisitOptions): Promise<TLSSocket> {
  const {token, ...place} = link;
  const socket = await visit({...place, ...options});
  if (token !== undefined) await show(socket, token);
  return socket;
}

/** Resolves when the agent has let the visitor in. The bytes behind its answer stay in the socket. */
function show(socket: TLSSocket, token: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let head: Buffer = Buffer.alloc(0);
    const settle = (error?: TunlError) => {
      clearTimeout(timer);
      socket.off('readable', read).off('error', broken).off('end', broken).off('close', broken);
      if (error === undefined) return resolve();
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    const broken = (error?: Error | boolean) =>
      settle(refusedWithout(error instanceof Error ? error : undefined));
    const timer = setTimeout(() => settle(refusedWithout(undefined)), REPLY_MS);
    const read = () => {
      for (let piece = socket.read() as Buffer | null; piece !== null; piece = socket.read()) {
        head = Buffer.concat([head, piece]);
        const answer = readReply(head);
        if (answer === undefined) continue;
        if (answer.reply !== 'OK') return settle(refusedBecause(answer.reply));
        const rest = head.subarray(answer.length);
        settle();
        if (rest.length > 0) socket.unshift(rest);
        return;
      }
    };
    socket.on('readable', read).on('error', broken).on('end', broken).on('close', broken);
    socket.write(openingLine(token), 'latin1');
  });
}

function refusedBecause(reply: Exclude<StreamReply, 'OK'> | undefined): TunlError {
  switch (reply) {
    case undefined:
    case 'NOT_HTTP':
      return new TunlError('LINK_INVALID', {
        reason: 'The link is not one to a private TCP tunnel.',
        next: 'Open it in a browser; a public tunnel is given as HOST[:PORT].',
      });
    case 'LATER':
      return new TunlError('LINK_INVALID', {
        reason: 'Too many wrong links have come.',
        next: 'Try again in a minute.',
      });
    case 'LINK_NEEDED':
    case 'LINK_INVALID':
      return new TunlError('LINK_INVALID');
  }
}

/** The agent resets visitors whose service it cannot reach, as those of a public port. */
function refusedWithout(cause: Error | undefined): TunlError {
  const why = cause === undefined ? '' : ` (${systemCode(cause)})`;
  return new TunlError('UPSTREAM_REFUSED', {
    reason: `The tunnel ended the connection${why}: its service may not run.`,
    next: 'Ask its owner whether the service runs.',
    cause,
  });
}

export interface LinkedPortOptions extends LinkedVisitOptions {
  /** `HOST:PORT` of this machine. */
  listen: string;
  /** A connection could not be made. */
  onFailed: (error: TunlError) => void;
}

export interface LinkedPort {
  readonly at: HostPort;
  /** The same as `HOST:PORT`. */
  readonly address: string;
  /** `HOST:PORT` of the tunnel. */
  readonly to: string;
  /** Resets open connections. */
  close(): Promise<void>;
}

/** A port of this machine; each connection to it is one to the tunnel. @throws TunlError LISTEN_*, OPTION_INVALID */
export async function listenForLink({listen, onFailed, ...options}: LinkedPortOptions): Promise<LinkedPort> {
  const ends = new AbortController();
  const open = new Set<Socket>();
  const server = createServer({allowHalfOpen: true, noDelay: true, pauseOnConnect: true}, (local) => {
    local.on('error', () => {});
    if (open.size >= MAX_CONNECTIONS) {
      local.resetAndDestroy();
      return;
    }
    open.add(local);
    local.once('close', () => open.delete(local));
    void serve(local);
  });
  const serve = async (local: Socket) => {
    try {
      const peer = await visitLink({...options, signal: ends.signal});
      if (local.destroyed) peer.on('error', () => {}).destroy();
      else join(local, peer);
    } catch (error) {
      local.resetAndDestroy();
      if (!ends.signal.aborted)
        onFailed(error instanceof TunlError ? error : new TunlError('UNEXPECTED', {cause: error}));
    }
  };
  const at = await listenOn(server, listenAddress(listen), false);
  const {host, port} = options.link;
  return {
    at,
    address: formatHostPort(at.host, at.port),
    to: formatHostPort(host, port),
    close: async () => {
      ends.abort();
      for (const local of open) resetSocket(local);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Each direction ends by itself. A connection that breaks breaks the other one. */
function join(local: Socket, peer: TLSSocket): void {
  const breaks = (socket: Socket, resetOther: () => void) => {
    socket.on('error', () => {});
    socket.once('close', () => {
      if (!socket.readableEnded || !socket.writableFinished) resetOther();
    });
  };
  breaks(local, () => resetSocket(peer, rawOf(peer)));
  breaks(peer, () => resetSocket(local));
  local.pipe(peer);
  peer.pipe(local);
}

/** The TCP socket below, which can be reset. */
function rawOf(peer: TLSSocket): Socket {
  const below = (peer as unknown as {_parent?: Socket})._parent;
  return below ?? peer;
}
