// The interface between loads and peers: where visitors connect, and which processes carry the bytes.

import type {Scope} from '../../test/helpers/scope.js';
import type {Tools} from '../machine/tools.js';
import type {Upstream} from '../upstream.js';

/** One public side: plain TCP, or HTTPS that the tunnel terminates. */
export interface Route {
  scheme: 'tcp' | 'https';
  /** The name in the visitors' requests; it is never resolved. */
  host: string;
  /** The address to connect to. Default: loopback. */
  address?: string;
  port: number;
  /** Process ids of the two ends; absent without a tunnel. */
  relayPid?: number;
  agentPid?: number;
}

export interface RunningPeer {
  /** To nginx. */
  tcp: Route;
  https?: Route;
  /** To the sink, plain TCP. */
  upload: Route;
  /** Memory of the relay before its first tunnel, MB. */
  relayBeforeMb?: number;
  /** Starts one more agent; resolves with the milliseconds from exec until it prints that it is up. */
  timeAgent?: (scope: Scope) => Promise<number>;
}

export interface PeerContext {
  tools: Tools;
  upstream: Upstream;
}

export interface Peer {
  name: string;
  /** One line for a reader of the table. */
  about: string;
  /** Programs without which the peer is left out. */
  needs: readonly string[];
  /** Why it is left out, when something other than a program is missing. */
  missing?(): string | undefined;
  start(scope: Scope, context: PeerContext): Promise<RunningPeer>;
}

export const loopback = '127.0.0.1';

/** The time limit for a peer's start. */
export const startTimeoutMs = 20_000;
