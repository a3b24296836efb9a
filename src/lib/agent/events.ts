// The events of a tunnel, as one closed union. The library's `onEvent` and the lines of `--json` are these values.

import type {ErrorCode} from '../core/errors.js';

/** The tunnel can be reached. Sent once; after a lost link `resumed` follows instead. */
export interface ReadyEvent {
  type: 'ready';
  /** The address for visitors: the URL of a TLS tunnel, `host:port` of a TCP one. The line on stdout. */
  address: string;
  /** `https://host`, with `:port` only when it is not 443. Absent for a tunnel without a TLS name. */
  url?: string;
  tls?: {host: string; port: number};
  /** Present when the tunnel is unencrypted (`--tcp`). */
  tcp?: {host: string; port: number};
  /** `localhost:8000`, `unix:/run/app.sock`, `https://localhost:8443`, or a folder: `/home/me/site/`. */
  upstream: string;
  relay: {
    /** `https://r1.example.net` */
    url: string;
    /** True when the relay runs inside this process: the address works on this machine only. */
    embedded: boolean;
    /** Path of the CA certificate that visitors must trust; only known for the embedded relay. */
    caFile?: string;
  };
  /** ALPN offers h2: alone, or before http/1.1. */
  h2: boolean;
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
   * `away`: there is no link to the relay. `leaving`: the relay said goodbye; open connections finish there. `refused`: the
   * link is there, and the relay does not give the address back yet.
   */
  state: 'away' | 'leaving' | 'refused';
  /** Why. */
  code: ErrorCode;
  reason: string;
  /** Counts from 1 since the tunnel could be reached. */
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
  /** How long the link was away, ms. */
  awayMs: number;
  /** Connections that go on where they were. */
  resumed: number;
  /** Connections that could not be kept (the relay restarted, or the window had passed). */
  lost: number;
}

/** One visitor's connection opened or closed. */
export interface ConnectionEvent {
  type: 'connection';
  state: 'open' | 'closed' | 'refused';
  /** Unique among the tunnels that share a link. */
  id: number;
  /** The visitor's address and port as the relay saw them, `203.0.113.7:50123` or `[2001:db8::1]:50123`. */
  visitor: string;
  /** Which public side it came by. */
  via: 'tls' | 'tcp';
  /** Bytes from the visitor to the upstream, and back; 0 at `open`. */
  bytesIn: number;
  bytesOut: number;
  /** ms from open to closed; 0 at `open`. */
  durationMs: number;
  /** Why, when refused or reset. */
  code?: ErrorCode;
}

/** Whether the upstream accepts connections: told when it does not, when it does again, and with `watchUpstream` when it is known first. */
export interface UpstreamEvent {
  type: 'upstream';
  /** As in `ready`. */
  upstream: string;
  answers: boolean;
  /** It answers again; how long it did not, ms. */
  silentMs?: number;
  /** Why it does not, where more is known than that no connection is accepted: a certificate, what it says by TLS. */
  code?: ErrorCode;
  reason?: string;
}

/** Something worth a line to a person; the tunnel goes on. Rate-limited at the source. */
export interface NoticeEvent {
  type: 'notice';
  code: ErrorCode;
  message: string;
}

/** The first interrupt came: no new visitors, open ones may finish. */
export interface DrainingEvent {
  type: 'draining';
  connections: number;
  timeoutMs: number;
}

/** The program that was started with the tunnel has ended by itself; the tunnel ends, too. */
export interface ExitedEvent {
  type: 'exited';
  program: string;
  /** One of both is absent. */
  code?: number;
  signal?: string;
  /** The exit code of the command, as a shell reports the program's end. */
  exitCode: number;
}

/** The tunnel has ended; the last event of a tunnel that ended in order. */
export interface ClosedEvent {
  type: 'closed';
  /** Connections that were served in all. */
  connections: number;
}

/** The tunnel or the command failed; the last event, with the same code as the exit code's table row. */
export interface ErrorEvent {
  type: 'error';
  code: ErrorCode;
  message: string;
  next: string;
  exitCode: number;
}

export type TunnelEvent =
  | ReadyEvent
  | ReconnectingEvent
  | ResumedEvent
  | ConnectionEvent
  | UpstreamEvent
  | NoticeEvent
  | DrainingEvent
  | ExitedEvent
  | ClosedEvent
  | ErrorEvent;
