// The events of a tunnel, as one closed union. `onEvent` of the library gets these values, and each line of `--json` is one.

import type {ErrorCode} from '../core/errors.js';
import type {VisitCode} from './stream-reasons.js';

/** The tunnel can be reached. Sent once; after a lost link `resumed` follows instead. */
export interface ReadyEvent {
  type: 'ready';
  /**
   * The address for visitors: the URL of a TLS tunnel, `host:port` of a TCP one, the link to a private one. The line on stdout.
   */
  address: string;
  /** `https://host`, with `:port` only when it is not 443. Absent for a tunnel without a TLS name. */
  url?: string;
  /** `url` with the token that a private tunnel asks for. Absent for other tunnels. It contains a secret. */
  link?: string;
  /**
   * True when visitors need nothing but the address: no link, password or sign-in, no address of their own that is allowed, and no login
   * of a program. The service may still ask for one.
   */
  open?: boolean;
  /** True for a private TCP tunnel: its link is for `tunl connect`, not for a browser. */
  connect?: boolean;
  /** The host and port of `url`. */
  tls?: {host: string; port: number};
  /**
   * With a relay inside this process, when `url` is `https://localhost:PORT`: the same tunnel under its name, for programs
   * that can resolve names below `.localhost`.
   */
  nameUrl?: string;
  /** Present when the tunnel is unencrypted (`--tcp`). */
  tcp?: {host: string; port: number};
  /** `localhost:8000`, `unix:/run/app.sock`, `https://localhost:8443`, or a folder: `/home/me/site/`. */
  upstream: string;
  relay: {
    /** `https://r1.example.net` */
    url: string;
    /** True when the relay runs inside this process: without `lan` the address works on this machine only. */
    embedded: boolean;
    /** Path of the CA certificate that visitors must trust; only known for the embedded relay. */
    caFile?: string;
  };
  /**
   * The address is for everybody in the local network. `interface`: the network interface that has it. `others`: further
   * addresses that could be meant.
   */
  lan?: {interface: string; others: string[]};
  /** ALPN offers h2: alone, or before http/1.1. */
  h2: boolean;
  /**
   * Whether a connection through the public name has reached this agent, at the start. A `probe` event says why one failed.
   * Absent: it was not tried.
   */
  probe?: 'passed' | 'failed';
  /** The program that was started with the tunnel: `jupyter`, `ssh`, `code-server`, `terminal`, `command`. */
  program?: string;
  /** Login data that a visitor needs besides the address: `password`, `token`, `fingerprint`, … It contains secrets. */
  login?: Record<string, string>;
  /** When the tunnel ends by itself, ISO 8601. */
  expiresAt?: string;
  /** The id of a tunnel in the background, for `tunl stop` and `tunl logs`. */
  id?: string;
}

/** New visitors cannot come for now; open connections that wait for a link are kept until `keptForMs` has passed. */
export interface ReconnectingEvent {
  type: 'reconnecting';
  /**
   * `away`: there is no link to the relay. `leaving`: the relay said goodbye; open connections finish there. `refused`: there
   * is a link, but the relay does not give the address back yet.
   */
  state: 'away' | 'leaving' | 'refused';
  /** The reason. */
  code: ErrorCode;
  reason: string;
  /** Counts from 1 since the tunnel could last be reached. */
  attempt: number;
  /** The wait before this attempt, ms. */
  delayMs: number;
  /** Open visitor connections that wait for the link. */
  connections: number;
  keptForMs: number;
}

/** The tunnel can be reached again. */
export interface ResumedEvent {
  type: 'resumed';
  /** How long there was no link, ms. */
  awayMs: number;
  /** Connections that continue. */
  resumed: number;
  /** Connections that were lost (the relay was restarted, or the window had passed). */
  lost: number;
}

/** The leg of a probe that fails: name look-up, TCP, TLS, or the way from the relay to this agent. */
export type ProbeLeg = 'dns' | 'tcp' | 'tls' | 'session';

/**
 * Whether a connection through the public name reaches this agent: sent after `ready` when the first one did not, after each
 * `resumed`, and when one arrives after others have failed.
 */
export interface ProbeEvent {
  type: 'probe';
  /** `off`: the relay does not know probes. */
  state: 'passed' | 'failed' | 'off';
  /** The side whose connection arrived, or failed: `relay` where this machine cannot dial the name itself. */
  by?: 'agent' | 'relay';
  /** When it arrived: how long it took. */
  durationMs?: number;
  /** When it failed. */
  leg?: ProbeLeg;
  code?: ErrorCode;
  reason?: string;
  next?: string;
}

/** One visitor's connection opened or closed. */
export interface ConnectionEvent {
  type: 'connection';
  state: 'open' | 'closed' | 'refused';
  /** Unique among the tunnels that share a link. */
  id: number;
  /** The visitor's address and port as the relay saw them, `203.0.113.7:50123` or `[2001:db8::1]:50123`. */
  visitor: string;
  /** The public side that the visitor connected to. */
  via: 'tls' | 'tcp';
  /** Bytes from the visitor to the upstream, and back; 0 at `open`. */
  bytesIn: number;
  bytesOut: number;
  /** ms from open to closed; 0 at `open`. */
  durationMs: number;
  /** When it was refused or reset. */
  code?: VisitCode;
  /** The same in words. */
  reason?: string;
}

/**
 * Whether the upstream accepts connections: sent when it does not, when it does again, and with `watchUpstream` when the
 * state is first known.
 */
export interface UpstreamEvent {
  type: 'upstream';
  /** As in `ready`. */
  upstream: string;
  answers: boolean;
  /** When it answers again: how long it did not, ms. */
  silentMs?: number;
  /** When it does not answer, and the reason is more than a refused connection: a certificate, or TLS. */
  code?: ErrorCode;
  reason?: string;
}

/** A warning; the tunnel goes on. Rate-limited at the source. */
export interface NoticeEvent {
  type: 'notice';
  code: ErrorCode;
  message: string;
}

/** After the first interrupt: there are no new visitors, open connections may finish. */
export interface DrainingEvent {
  type: 'draining';
  connections: number;
  timeoutMs: number;
}

/** The program that was started with the tunnel has ended by itself; the tunnel ends, too. */
export interface ExitedEvent {
  type: 'exited';
  program: string;
  /** Either `code` or `signal` is absent. */
  code?: number;
  signal?: string;
  /** The exit code of the command: that of the program, as a shell reports it. */
  exitCode: number;
}

/** The tunnel has ended in order; the last event. */
export interface ClosedEvent {
  type: 'closed';
  /** The number of connections served. */
  connections: number;
}

/** The tunnel or the command has failed; the last event. Its code is the one that decides the exit code. */
export interface ErrorEvent {
  type: 'error';
  code: ErrorCode;
  message: string;
  next: string;
  exitCode: number;
}

/** An event of the link, which several tunnels may share. */
export type LinkEvent = ReconnectingEvent | ResumedEvent | NoticeEvent;

export type TunnelEvent =
  | ReadyEvent
  | ReconnectingEvent
  | ResumedEvent
  | ProbeEvent
  | ConnectionEvent
  | UpstreamEvent
  | NoticeEvent
  | DrainingEvent
  | ExitedEvent
  | ClosedEvent
  | ErrorEvent;
