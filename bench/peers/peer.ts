// What every way to the upstream looks like to the loads: where visitors connect, and which processes carry them.

import type {Scope} from '../../test/helpers/scope.js';
import type {Tools} from '../machine/tools.js';
import type {Upstream} from '../upstream.js';

/** One public side: plain TCP, or HTTPS that the tunnel terminates. */
export interface Route {
  scheme: 'tcp' | 'https';
  /** The name visitors ask for; it is never resolved. */
  host: string;
  /** Where it is. Default: loopback. */
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
  /** Starts one more agent and resolves, once it prints that it is up, with the milliseconds since exec. */
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
  start(scope: Scope, context: PeerContext): Promise<RunningPeer>;
}

export const loopback = '127.0.0.1';

/** How long a peer may take until it is up. */
export const startTimeoutMs = 20_000;
