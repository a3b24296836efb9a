// Gates in front of an upstream of the test, without a relay: a visitor is the socket that a splice would have.

import {once} from 'node:events';
import type {Duplex} from 'node:stream';
import {TunnelGates, type TunnelGatesOptions} from '../../src/lib/agent/upstreams/gated/tunnel-gates.js';
import {TcpUpstream} from '../../src/lib/agent/upstreams/tcp.js';
import type {Upstream, VisitorFacts} from '../../src/lib/agent/upstreams/upstream.js';
import type {Scope} from './scope.js';

export const HOST = 'demo.r1.test';

export interface GatedVisitor {
  socket: Duplex;
  /** Everything that came so far. */
  heard(): string;
  /** Resolves when the pattern is in what came; rejects at the end. */
  hears(pattern: RegExp): Promise<string>;
  closed: Promise<void>;
  reset(): void;
}

export interface Gated {
  gates: TunnelGates;
  /** The token of the printed link. */
  token: string;
  /** Errors of dials that gates reported; undefined for those that answered. */
  dialled: (Error | undefined)[];
  /** The protocols of requests that the upstream did not answer. */
  unanswered: string[];
  visit(facts?: Partial<VisitorFacts>): Promise<GatedVisitor>;
  /** Sends the text and returns everything that comes until the end of the connection. */
  say(text: string | Buffer, facts?: Partial<VisitorFacts>): Promise<string>;
}

/** @param to a port of this machine, or an upstream */
export function startGated(
  scope: Scope,
  to: number | Upstream,
  options: Partial<TunnelGatesOptions> = {isPrivate: true},
): Gated {
  const gates = new TunnelGates({
    isStream: false,
    isPrivate: false,
    basicAuth: undefined,
    forwarded: false,
    h2: false,
    waitMs: 0,
    offlinePage: false,
    ...options,
  });
  const upstream = gates.wrap(typeof to === 'number' ? new TcpUpstream({host: '127.0.0.1', port: to}) : to);
  scope.onEnd(() => upstream.close?.());
  gates.opened({tls: {host: HOST, port: 443}});
  const dialled: (Error | undefined)[] = [];
  const unanswered: string[] = [];
  const visit = async (facts: Partial<VisitorFacts> = {}) => {
    const visitor: VisitorFacts = {
      via: 'tls',
      address: '203.0.113.7',
      port: 50_000,
      ...facts,
    };
    const connection = await new Promise<{socket: Duplex; reset(): void}>((resolve, reject) => {
      upstream.dial({
        visitor,
        alpn: visitor.alpn,
        onOpen: resolve,
        onFailed: reject,
        onGateDialled: (error) => dialled.push(error),
        onGateUnanswered: (protocol) => unanswered.push(protocol),
      });
    });
    const {socket} = connection;
    scope.onEnd(() => void socket.destroy());
    let heard = '';
    socket.on('data', (piece: Buffer) => (heard += piece.toString('latin1')));
    socket.on('error', () => {});
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const hears = async (pattern: RegExp) => {
      while (!pattern.test(heard)) {
        const over = await Promise.race([
          once(socket, 'data').then(() => false),
          once(socket, 'end').then(() => true),
          closed.then(() => true),
        ]);
        if (over && !pattern.test(heard)) throw new Error(`never heard ${pattern}: ${heard}`);
      }
      return heard;
    };
    return {socket, heard: () => heard, hears, closed, reset: () => connection.reset()};
  };
  return {
    gates,
    token: gates.linkTo(`https://${HOST}/`)?.split('tunl=')[1] ?? '',
    dialled,
    unanswered,
    visit,
    say: async (text, facts) => {
      const {socket, heard} = await visit(facts);
      const over = Promise.race([once(socket, 'end'), once(socket, 'close')]);
      socket.write(text);
      await over;
      return heard();
    },
  };
}

/** A GET of one's own host. */
export function get(path: string, headers: readonly string[] = [], method = 'GET'): string {
  return [`${method} ${path} HTTP/1.1`, `Host: ${HOST}`, ...headers, '', ''].join('\r\n');
}
