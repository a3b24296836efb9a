// The options and the result of `forward`, for whoever calls it. Names contain the units. settings-table.ts decides; a test holds
// these types and sentences to it.

import type {LogSink} from '../core/logger.js';
import type {ReadyEvent, TunnelEvent} from './events.js';

/** How the agent speaks TLS to an upstream. Files are PEM and read once, at the start. */
export interface UpstreamTls {
  /** The CA that signed the upstream's certificate, besides the system's. */
  caFile?: string;
  /** Take any certificate: whoever is between the agent and the upstream can read and change everything. Default false. */
  insecure?: boolean;
  /** The name that is asked for (SNI) and that the certificate is checked for. Default: the target's host. */
  serverName?: string;
  /** A client certificate, the leaf first, and its key. */
  certFile?: string;
  keyFile?: string;
}

/**
 * `when refused`: after a refused visitor, until it accepts connections again. `at first`: also once at the beginning. `always`:
 * from the beginning, and without a visitor. `never`: what visitors meet is not told either.
 */
export type WatchUpstream = 'never' | 'when refused' | 'at first' | 'always';

export interface ForwardOptions {
  /** Where the upstream listens, for a target that is a port. Default `localhost`: both loopback families are tried. */
  host?: string;
  /** For an `https://` target only. */
  upstreamTls?: UpstreamTls;
  /** A raw TCP port of the relay besides the TLS name. Default false. */
  unencrypted?: boolean;
  /**
   * ALPN offers `h2` instead of `http/1.1`, for an upstream that takes HTTP/2 without TLS, as gRPC's do. A visitor that offers
   * `http/1.1` alone is refused: it would get frames that it cannot read. Not together with `unencrypted`. Default false.
   */
  h2?: boolean;
  /** With `h2`: ALPN offers `h2, http/1.1`, for an upstream that takes both on its port. Default false. */
  http1?: boolean;
  /** A name of one's own instead of a random one. */
  subdomain?: string;
  /** A TCP port of one's own; implies nothing: only with `unencrypted`. */
  remotePort?: number;
  /** `https://relay.example.net[:port]`. Default `TUNL_RELAY`; with neither, a relay inside this process. */
  relay?: string;
  /** Default `TUNL_TOKEN`. */
  token?: string;
  /** File with the token on its first line. */
  tokenFile?: string;
  /** PEM file of the CA that signed the relay's certificate, besides the system's. Default `TUNL_CA_FILE`. */
  caFile?: string;
  /**
   * Hosts, each with all names below it, where a relay may send the agent and its token when it goes away. Default: those below
   * the relay's own name. Private addresses are followed from a relay in such a network only.
   */
  follow?: readonly string[];
  /** Default `TUNL_STATE_DIR`, else the platform's convention. */
  stateDir?: string;
  /** For one attempt to reach the relay, ms. Default 10,000. */
  connectTimeoutMs?: number;
  /** How long `close()` lets open connections finish, ms. Default 0: at once. */
  drainTimeoutMs?: number;
  /** Keep trying when the first connect fails, instead of failing. Default false. */
  wait?: boolean;
  /** Give up after the link was away this long, ms. Default: never. */
  maxRetryTimeMs?: number;
  /** Ask for a fresh random name even when the last one is still leased to this upstream. Default false. */
  newName?: boolean;
  /**
   * When to look whether the upstream accepts connections, to tell it by `upstream` events. A service on this machine is not
   * dialled for it (Linux). `true` is `always`, `false` is the default. Default `when refused`.
   */
  watchUpstream?: WatchUpstream | boolean;
  /**
   * Explain by `notice` events (HOST_REFUSED) that a dev server refuses the public name. For this the agent looks at the
   * beginning of each answer. Default false.
   */
  explainHostChecks?: boolean;
  /**
   * While the upstream does not accept connections, dial it again for each visitor for so long before the visitor is reset, ms.
   * Default 0: once. At most 256 visitors wait at a time.
   */
  waitUpstreamMs?: number;
  /** Ends the tunnel like `close()`; before the tunnel is there, `forward` rejects with ABORTED. */
  signal?: AbortSignal;
  /**
   * Everything that happens, in order, `ready` included. Must not throw. `of` is `link` for what happens to the link: all tunnels
   * that share it are told, with the same object.
   */
  onEvent?: (event: TunnelEvent, of?: 'link') => void;
  log?: LogSink;
}

/** Names one public side of a tunnel: host and port. */
export type SocketAddress = readonly [host: string, port: number];

/** A local port with a public address. Ends with `close()`, `destroy()`, its AbortSignal, or the scope of `await using`. */
export interface Tunnel extends AsyncDisposable {
  /** `https://host`, with `:port` only when it is not 443. */
  readonly url: string;
  /** Host and port of the TLS side. */
  readonly tlsSocket: SocketAddress;
  /** Host and port of the TCP side. Throws NO_TCP_SOCKET for a tunnel without one. */
  readonly tcpSocket: SocketAddress;
  /** The `ready` event. */
  readonly ready: ReadyEvent;
  /** Open visitor connections now. */
  readonly connections: number;
  /** Bytes from all visitors so far to the upstream, and back. */
  readonly traffic: {bytesIn: number; bytesOut: number};
  /** The last measured way to the relay and back, ms; undefined without a link. */
  readonly rttMs: number | undefined;
  /** Resolves after an orderly end; rejects with the TunlError that ended the tunnel for good. */
  readonly closed: Promise<void>;
  /** No new visitors; open ones may finish for `drainTimeoutMs` (default: that of `forward`), then the end. Idempotent. */
  close(options?: {drainTimeoutMs?: number}): Promise<void>;
  /** The end at once: open connections are reset. Idempotent. */
  destroy(error?: Error): void;
}
