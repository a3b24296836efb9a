// What `startRelay` takes and gives. Units are in the names; every default is written here.

import type {LogSink} from '../core/logger.js';

export const LONGEST_RESUME_WINDOW_MS = 600_000;
export const LONGEST_LEASE_GRACE_MS = 30 * 86_400_000;

export const LONGEST_VISITOR_IDLE_MS = 30 * 86_400_000;

/** Two hours: the system's own. */
export const LONGEST_KEEP_ALIVE_MS = 7_200_000;

export interface RelayOptions {
  /** The relay's own name; tunnels are labels below it. Default `tunl.localhost`. */
  domain?: string;
  /** `HOST:PORT` for agents and visitors over TLS; port 0 takes a free one. Default `127.0.0.1:0`. */
  listen?: string;
  /** `HOST:PORT` for plain HTTP that redirects to HTTPS. Default: none. */
  listenHttp?: string;
  /** The port that public addresses name, where the relay stands behind a forwarder. Default: the one listened on. */
  publicPort?: number;
  /** Ports for TCP tunnels, both included; `[0, 0]`: any free port of the system. Default: none offered. */
  tcpPorts?: readonly [first: number, last: number];
  /** Address that TCP tunnels listen on. Default: the host of `listen`. */
  tcpHost?: string;
  /** The host that TCP addresses name. Default: the domain (`localhost` under `.localhost`). */
  tcpPublicHost?: string;
  /** What agents must show. Default `TUNL_TOKEN`; without one the relay listens on loopback only. */
  token?: string;
  /** File with the token on its first line. */
  tokenFile?: string;
  /**
   * PEM files for the domain and `*.domain`, read anew when they change. Default: a private CA in the state folder, one leaf
   * per name.
   */
  certFile?: string;
  keyFile?: string;
  /**
   * Offer h2 although a given certificate is every name's. A browser sends requests for one name over an h2 connection of
   * another when one certificate has both, so they would reach the wrong tunnel; gRPC and others do not. Default false.
   */
  sharedH2?: boolean;
  /** Default `TUNL_STATE_DIR`, else the platform's convention. */
  stateDir?: string;
  /** Tunnels of one agent. Default 100. */
  maxTunnelsPerAgent?: number;
  /**
   * Names and ports of one owner: those that its agents have, and those kept for `leaseGraceMs`. Beyond it the ones kept
   * longest go first; an agent with no more than its share, the number divided by the owner's agents, is never refused for
   * the others. A token is one owner. Default 10,000; 100,000 in all.
   */
  maxLeasesPerOwner?: number;
  /**
   * Bytes that all visitors together may leave unread. Beyond it those who have stopped reading are cut off, longest standing
   * first. Default: a quarter of the machine's or container's memory, 1 GiB at the most.
   */
  maxUnreadBytes?: number;
  /**
   * How long visitors of a broken link are kept, ms; 0 to 600,000. When the memory for it runs short, those of the link that has
   * been away for longest are reset sooner. Default 600,000.
   */
  resumeWindowMs?: number;
  /**
   * A visitor whose connection moves no byte in either direction for so long, ms, is reset; 1,000 to 30 days. Default: none,
   * since a login may say nothing for hours. When descriptors or memory run short the longest idle visitors of the address
   * that has the most are reset in any case.
   */
  visitorIdleTimeoutMs?: number;
  /** How long a visitor that comes while the link is away waits for it before it is reset, ms; 0 to 600,000. Default 20,000. */
  visitorWaitMs?: number;
  /**
   * A visitor that has been silent for so long, ms, is asked by TCP keepalive whether it is still there; one that has vanished
   * is found after twice as long. Not while bytes are on their way to it: then the kernel's retries decide. 0: never. Agents
   * are asked by the protocol itself. Default 30,000.
   */
  keepAliveMs?: number;
  /** How long a name or port stays with its owner after the agent is gone, ms; 30 days at the most. Default 600,000. */
  leaseGraceMs?: number;
  /** Keep the lease table in the state folder, so that names survive a restart of the relay. Default true. */
  keepLeases?: boolean;
  /**
   * `https://…` of the relays that agents go to when this one drains, the best first; at most 20. They have to serve the same
   * names: the same domain and public port. Default: agents come back here.
   */
  successors?: readonly string[];
  /**
   * Addresses or `ADDRESS/PREFIX` that many people stand behind, such as a load balancer: limits by source do not hold for
   * them. Default: none.
   */
  trustedSources?: readonly string[];
  /** Let a second relay process of this user listen on the same ports, to take over without a gap. Default false. */
  reusePort?: boolean;
  signal?: AbortSignal;
  log?: LogSink;
}

export interface RelayStats {
  agents: number;
  tunnels: number;
  /** Open visitor connections. */
  visitors: number;
}

/** A running relay. */
export interface Relay extends AsyncDisposable {
  readonly domain: string;
  /** `https://domain[:port]`: what agents are given as --relay. */
  readonly url: string;
  /** Where it listens: the port is the real one. */
  readonly address: {host: string; port: number};
  /** Where the plain-HTTP redirect listens, if asked for. */
  readonly httpAddress: {host: string; port: number} | undefined;
  /** PEM file of the CA to trust; undefined when certificates were given. */
  readonly caFile: string | undefined;
  stats(): RelayStats;
  /**
   * Reads the certificate files now; by itself it looks every minute whether they have changed. Never rejects: files that
   * cannot be used are told to the log, and the old certificate stays.
   */
  reload(): Promise<void>;
  /** Stops accepting, tells agents, lets open streams finish for `drainTimeoutMs` (default 0), then closes. Idempotent. */
  close(options?: {drainTimeoutMs?: number}): Promise<void>;
}
