// The options and the result of `startRelay`. Names contain the units. settings-table.ts has the truth; a test compares these
// types and comments with it.

import type {ErrorCode} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';

export interface RelayOptions {
  /** The relay's own name; tunnels are labels below it. Default `tunl.localhost`. */
  domain?: string;
  /** `HOST:PORT` for agents and visitors over TLS; port 0 takes a free one. Default `127.0.0.1:0`. */
  listen?: string;
  /** `HOST:PORT` for plain HTTP that redirects to HTTPS. Default: none. */
  listenHttp?: string;
  /** The port in public addresses when a forwarder is in front of the relay. Default: the port that it listens on. */
  publicPort?: number;
  /** Ports for TCP tunnels, both included; `[0, 0]`: any free port of the system. Default: none offered. */
  tcpPorts?: readonly [first: number, last: number];
  /** Address that TCP tunnels listen on. Default: the host of `listen`. */
  tcpHost?: string;
  /** The host in TCP addresses. Default: the domain (`localhost` under `.localhost`). */
  tcpPublicHost?: string;
  /** A token with all rights for agents. Default `TUNL_TOKEN`. Without any token the relay listens on loopback only. */
  token?: string;
  /** File with the token on its first line. */
  tokenFile?: string;
  /** Accept the tokens in the state folder, which `tunl relay token` makes. Default true. */
  tokenRegistry?: boolean;
  /**
   * Issuers of identities (OpenID Connect), as in the claim `iss` of their tokens. People log in at the first one. Default: none.
   */
  oidcIssuers?: readonly string[];
  /** Tokens of an issuer are good here when they are made for one of these (claim `aud`), or for `oidcClient`. Default: none. */
  oidcAudiences?: readonly string[];
  /** The client of the first issuer for the device flow: `tunl login`. Default: nobody logs in that way. */
  oidcClient?: string;
  /** The scopes to ask the first issuer for. Default `openid email profile offline_access`. */
  oidcScope?: string;
  /**
   * The rules for identities: conditions about claims and scopes, like `email=*@example.com name:*`. A rule without `iss=` is about the
   * first issuer. Default: nobody may do anything.
   */
  oidcRules?: readonly string[];
  /** The claim that owns names and ports. Default `sub`. */
  oidcOwner?: string;
  /** How long a login lasts without its issuer, ms. Default 43,200,000: 12 hours. */
  oidcSessionMs?: number;
  /** PEM file of the CA of the issuers, besides the system's. */
  oidcCaFile?: string;
  /**
   * PEM files for the domain and `*.domain`. They are read again when they change. Default: a private CA in the state folder,
   * with one leaf for each name.
   */
  certFile?: string;
  keyFile?: string;
  /**
   * Offer h2 although all names share a given certificate. A browser sends requests for one name over an h2 connection of
   * another name with the same certificate, so they would reach the wrong tunnel; gRPC does not do that. Default false.
   */
  sharedH2?: boolean;
  /** Default `TUNL_STATE_DIR`, else the platform's convention. */
  stateDir?: string;
  /** Tunnels of one agent. Default 100. */
  maxTunnelsPerAgent?: number;
  /**
   * Limit for the names and ports of one owner: those that its agents have, and those kept for `leaseGraceMs`. Beyond it the
   * ones released first are dropped. An agent with no more than its share (the limit divided by the owner's agents) is never
   * refused because of the others. A token is one owner. Default 10,000; 100,000 in all.
   */
  maxLeasesPerOwner?: number;
  /**
   * The bytes that all visitors together may leave unread. Beyond it visitors that have stopped reading are reset, the
   * longest waiting first. Default: a quarter of the machine's or container's memory, at most 1 GiB.
   */
  maxUnreadBytes?: number;
  /**
   * How long visitors of a broken link are kept, ms; 0 to 600,000. When memory runs short, visitors whose link has been lost
   * for the longest time are reset earlier. Default 600,000.
   */
  resumeWindowMs?: number;
  /**
   * A visitor whose connection moves no byte in either direction for this long, ms, is reset; 1,000 to 30 days. Default: no
   * limit, because a login may be silent for hours. When descriptors or memory run short, the longest idle visitors of the
   * address with the most visitors are reset in any case.
   */
  visitorIdleTimeoutMs?: number;
  /** How long a new visitor waits for a lost link before it is reset, ms; 0 to 600,000. Default 20,000. */
  visitorWaitMs?: number;
  /**
   * After this much silence, ms, TCP keepalive probes a visitor; a vanished one is noticed after twice this time. While sent
   * bytes are unacknowledged, the kernel's retries decide instead. 0: never. The protocol itself probes agents. Default
   * 30,000.
   */
  keepAliveMs?: number;
  /** How long the owner keeps a name or port after its agent is gone, ms; at most 30 days. Default 600,000. */
  leaseGraceMs?: number;
  /** Keep the lease table in the state folder, so that names survive a restart of the relay. Default true. */
  keepLeases?: boolean;
  /**
   * `https://…` of the relays that agents go to when this one drains, the best first; at most 20. They must serve the same
   * names: the same domain and public port. Default: agents come back to this relay.
   */
  successors?: readonly string[];
  /**
   * Addresses or `ADDRESS/PREFIX` of many people, such as a load balancer: limits by source do not apply to them.
   * Default: none.
   */
  trustedSources?: readonly string[];
  /** Connections of visitors at once. Default: by memory and descriptors. */
  maxVisitors?: number;
  /** Connections of visitors to all tunnels of an owner at once. Default 20,000; no limit for `token`. */
  maxVisitorsPerOwner?: number;
  /** Connections of visitors to a tunnel at once. Default 10,000. */
  maxVisitorsPerTunnel?: number;
  /**
   * Connections of visitors from an address at once. Default 4,096. Limits that are not given do not apply to visitors from the
   * relay's own machine, and limits by address not to `trustedSources`.
   */
  maxVisitorsPerAddress?: number;
  /** New connections of visitors a second; ten times as many at once. Default: by the processor. */
  visitorsPerSecond?: number;
  /** New connections of visitors a second to all tunnels of an owner. Default 1,000; no limit for `token`. */
  visitorsPerSecondPerOwner?: number;
  /** New connections of visitors a second to a tunnel. Default 500. */
  visitorsPerSecondPerTunnel?: number;
  /** New connections of visitors a second from an address. Default 200. */
  visitorsPerSecondPerAddress?: number;
  /** TLS handshakes of an address that have begun and not ended. Default 512. */
  maxHandshakesPerAddress?: number;
  /** Connections a second of an address that ask for names without a tunnel; ten times as many at once. Default 50. */
  unknownNamesPerSecondPerAddress?: number;
  /** Agents of an owner at once, with those that have lost their link and may come back. Default 20,000; no limit for `token`. */
  maxSessionsPerOwner?: number;
  /** New connections of agents a second of an owner. Default 100; no limit for `token`. */
  sessionsPerSecondPerOwner?: number;
  /** Bytes a second of all visitors together, both directions. Default: no limit. */
  bytesPerSecond?: number;
  /** Bytes a second of all tunnels of an owner. Default: no limit. */
  bytesPerSecondPerOwner?: number;
  /** Bytes a second of a tunnel. Default: no limit. */
  bytesPerSecondPerTunnel?: number;
  /** Let a second relay process of this user listen on the same ports, to take over without a gap. Default false. */
  reusePort?: boolean;
  /**
   * `HOST:PORT` for metrics (`/metrics`), health (`/livez`, `/readyz`) and the operators' page (`/`). Everybody who reaches it
   * can read it. Default: none.
   */
  metricsListen?: string;
  /** Names under which `metricsListen` may be asked, besides addresses and `localhost`. Default: none. */
  metricsHosts?: readonly string[];
  /** File that gets one JSON line for each login, bind, refusal and act of the operator. Default: none. */
  auditFile?: string;
  /**
   * Serve the admin socket in the state folder, for `tunl relay status`, `kick`, `block`, `drain` and `reload`. Default
   * false.
   */
  admin?: boolean;
  /**
   * Names that only an owner with a scope for exactly this name may have, besides the usual ones (`www`, `login` …); `*` stands
   * for any characters. Names that look like one of them count as well. Default: none.
   */
  reservedNames?: readonly string[];
  /** E-mail address or `https:` URL for reports of abuse, on the relay's page and in its security.txt. Default: none. */
  abuseContact?: string;
  /**
   * Addresses of this machine that agents may connect from, by name: `my-proxy=203.0.113.1,203.0.113.2`, up to 5 each. A token
   * needs the scope `egress:NAME`. Default: none.
   */
  egress?: readonly string[];
  /**
   * Addresses and ranges that are not public and may be reached by egress nevertheless: private networks, this machine.
   * Default: none.
   */
  egressAllowPrivate?: readonly string[];
  /** Connections to port 25 by egress. Default false. */
  egressMail?: boolean;
  /** UDP by egress. Default true. */
  egressUdp?: boolean;
  /** Local ports of connections by egress: each address has as many connections to a destination. Default `[32768, 60999]`. */
  egressPorts?: readonly [first: number, last: number];
  /** Connections by egress of an owner at once. Default 20,000. */
  maxEgressPerOwner?: number;
  /** New connections by egress a second of an owner; ten times as many at once. Default 200. */
  egressPerSecondPerOwner?: number;
  /**
   * Visit a tunnel of the relay's own through its public name every 30 seconds, and say which leg fails. Default true.
   */
  probe?: boolean;
  /** Processes that serve tunnels, so that the relay uses several cores; 1 to 64. Default 1: this process alone. */
  workers?: number;
  signal?: AbortSignal;
  log?: LogSink;
}

export interface RelayStats {
  agents: number;
  tunnels: number;
  /** Open visitor connections. */
  visitors: number;
}

/** The result of a reload. Settings have the names of their flags. */
export interface RelayReload {
  /** They have a new value. */
  changed: readonly string[];
  /** They have a new value outside of the relay, which takes it only after a restart. */
  needRestart: readonly string[];
  /** Nothing has changed, for this reason. */
  failed?: {code: ErrorCode; message: string; next: string};
}

/** A running relay. */
export interface Relay extends AsyncDisposable {
  readonly domain: string;
  /** `https://domain[:port]`: the value for --relay of agents. */
  readonly url: string;
  /** The address that it listens on; the port is the actual one. */
  readonly address: {host: string; port: number};
  /** The address of the plain-HTTP redirect, if there is one. */
  readonly httpAddress: {host: string; port: number} | undefined;
  /** The address of metrics, health and the operators' page, if there is one. */
  readonly metricsAddress: {host: string; port: number} | undefined;
  /** PEM file of the CA to trust; undefined when certificates were given. */
  readonly caFile: string | undefined;
  /** True when agents had to show a token at the start. */
  readonly tokenRequired: boolean;
  stats(): RelayStats;
  /**
   * Reads the certificate files and `tokenFile` now; the relay also checks the certificate every minute. Never rejects: when
   * a file cannot be used, the log says so, and nothing changes.
   */
  reload(): Promise<RelayReload>;
  /** Stops accepting, tells agents, lets open streams finish for `drainTimeoutMs` (default 0), then closes. Idempotent. */
  close(options?: {drainTimeoutMs?: number}): Promise<void>;
}
