// The interface between loads and peers: where visitors connect, and which processes carry the bytes.

import type {Scope} from '../../test/helpers/scope.js';
import type {Pids} from '../machine/proc.js';
import type {Tools} from '../machine/tools.js';
import type {Service} from '../services.js';
import type {Upstream} from '../upstream.js';

/** The names of a peer's routes. */
export type RouteName = 'tcp' | 'https' | 'upload' | Service;

/** One public side: plain TCP, or HTTPS that the tunnel terminates. */
export interface Route {
  scheme: 'tcp' | 'https';
  /** The name in the visitors' requests; it is never resolved. */
  host: string;
  /** The address to connect to. Default: loopback. */
  address?: string;
  port: number;
  /** Process ids of the two ends; absent without a tunnel. */
  relayPid?: Pids;
  agentPid?: Pids;
}

export interface RunningPeer {
  /** To nginx. A route is absent where the peer has none of its kind. */
  tcp?: Route;
  https?: Route;
  /** To the sink, plain TCP. */
  upload?: Route;
  /** To the sink, over HTTPS. Like the two below only if `Upstream` has the service. */
  uploadTls?: Route;
  /** To the WebSocket echo, plain TCP. */
  echo?: Route;
  /** To the gRPC service, over TLS with HTTP/2. */
  grpc?: Route;
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

/** The routes of a peer that has plain TCP only. @param expose starts one more agent, and resolves when its address is known. */
export async function tcpRoutes(
  scope: Scope,
  {port, sinkPort, services: {echo}}: Upstream,
  expose: (owner: Scope, port: number) => Promise<Route>,
): Promise<Pick<RunningPeer, 'tcp' | 'upload' | 'echo' | 'timeAgent'>> {
  return {
    tcp: await expose(scope, port),
    upload: await expose(scope, sinkPort),
    ...(echo && {echo: await expose(scope, echo.port)}),
    timeAgent: async (owner) => {
      const began = performance.now();
      await expose(owner, port);
      return performance.now() - began;
    },
  };
}

export const loopback = '127.0.0.1';

/** The time limit for a peer's start. */
export const startTimeoutMs = 20_000;
