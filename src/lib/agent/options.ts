// The options and the result of `forward`. Names contain the units. settings-table.ts has the truth; a test compares these
// types and comments with it.

import type {LogSink} from '../core/logger.js';
import type {AddressOptions} from './address-rules.js';
import type {ReadyEvent, TunnelEvent} from './events.js';
import type {LinkFacts, LinkOptions} from './upstreams/gated/links.js';
import type {SharedLink} from './upstreams/gated/tunnel-gates.js';

/** TLS between the agent and an upstream. Files are PEM and read once, at the start. */
export interface UpstreamTls {
  /** The CA that signed the upstream's certificate, besides the system's. */
  caFile?: string;
  /** Accept any certificate: anybody between the agent and the upstream can read and change everything. Default false. */
  insecure?: boolean;
  /** The name for SNI and for the check of the certificate. Default: the target's host. */
  serverName?: string;
  /** A client certificate, the leaf first, and its key. */
  certFile?: string;
  keyFile?: string;
}

/**
 * `when refused`: after a refused visitor, until it accepts connections again. `at first`: also once at the beginning.
 * `always`: from the beginning, also without visitors. `never`: no `upstream` events, not even about refused visitors.
 */
export type WatchUpstream = 'never' | 'when refused' | 'at first' | 'always';

export interface ForwardOptions {
  /** The host of the upstream when the target is a port. Default `localhost`: both loopback families are tried. */
  host?: string;
  /** Only for an `https://` target. */
  upstreamTls?: UpstreamTls;
  /** A raw TCP port of the relay besides the TLS name. Default false. */
  unencrypted?: boolean;
  /**
   * ALPN offers `h2` instead of `http/1.1`, for an upstream that speaks HTTP/2 without TLS, such as gRPC. A visitor that
   * offers only `http/1.1` is refused: it would get frames that it cannot read. Not together with `unencrypted`. Default
   * false.
   */
  h2?: boolean;
  /** With `h2`: ALPN offers `h2, http/1.1`, for an upstream that speaks both on its port. Default false. */
  http1?: boolean;
  /**
   * Only visitors with a link get in: `link` is the first one, `share` makes more. Each HTTP request is checked. With
   * `unencrypted` each connection is: it begins with the link's token (docs/visitors.md), and there is no TCP port. The
   * upstream sees no token. Default false.
   */
  private?: boolean;
  /** Visitors must give this user name and a password, as HTTP Basic. Not together with `unencrypted`. */
  basicAuth?: string;
  /** The password for `basicAuth`, of at least 8 characters. Default `TUNL_BASIC_AUTH_PASSWORD`. */
  basicAuthPassword?: string;
  /** File with that password on its first line. */
  basicAuthFile?: string;
  /** Visitors sign in at this issuer of identities (OpenID Connect). Not together with `unencrypted`. */
  oidc?: string;
  /** The visitors that may come in: `ana@example.com`, `*@example.com`, or `groups=dev` about a claim. Default: nobody. */
  oidcAllow?: readonly string[];
  /** The client at the issuer. It has to list `https://NAME/.well-known/tunl/signed-in` among its redirect URIs. */
  oidcClient?: string;
  /** The client's secret. Default `TUNL_OIDC_SECRET`; without one it is a public client. */
  oidcSecret?: string;
  /** File with that secret on its first line. */
  oidcSecretFile?: string;
  /** PEM file of the CA of the issuer, besides the system's. Default `TUNL_OIDC_CA_FILE`. */
  oidcCaFile?: string;
  /**
   * The upstream gets the visitor's address in `Forwarded` and `X-Forwarded-*`; such headers of the visitor are removed. Not
   * together with `unencrypted`. Default false.
   */
  forwarded?: boolean;
  /** This name instead of a random one. */
  subdomain?: string;
  /** This TCP port instead of a random one; only with `unencrypted`, and without `private`. */
  remotePort?: number;
  /** `https://relay.example.net[:port]`. Default `TUNL_RELAY`; with neither, a relay inside this process. */
  relay?: string;
  /**
   * The name of a login that `tunl login` has stored, in place of `relay`, its token and its CA; `embedded`: the relay inside
   * this process. Default `TUNL_CONTEXT`. The current context of the commands does not apply here.
   */
  context?: string;
  /**
   * The relay inside this process also listens in the local network, for this tunnel only: `url` is `https://ADDRESS:PORT`,
   * and everybody in that network can connect. `true` chooses the address; otherwise an address or network interface of this
   * machine. Not with `relay` and not with `unencrypted`. Default: this machine only.
   */
  lan?: string | boolean;
  /** Default `TUNL_TOKEN`. */
  token?: string;
  /** File with the token on its first line. */
  tokenFile?: string;
  /** PEM file of the CA that signed the relay's certificate, besides the system's. Default `TUNL_CA_FILE`. */
  caFile?: string;
  /**
   * Hosts, each with all names below it, where a relay may send the agent and its token when it shuts down. Default: those
   * below the relay's own name. A relay may name private addresses only if it has one itself.
   */
  follow?: readonly string[];
  /** Default `TUNL_STATE_DIR`, else the platform's convention. */
  stateDir?: string;
  /** For one attempt to reach the relay, ms. Default 10,000. */
  connectTimeoutMs?: number;
  /** How long `close()` lets open connections finish, ms. Default 0: at once. */
  drainTimeoutMs?: number;
  /** Keep trying when the first connection fails. Default false. */
  wait?: boolean;
  /** Give up after this long without a link, ms. Default: never. */
  maxRetryTimeMs?: number;
  /**
   * Before it resolves, and after each lost link, show by a connection through the public name that visitors reach this agent;
   * the upstream gets no byte of it. A connection that does not come through ends nothing: a `probe` event says which leg
   * fails. Waits 4 s at the most. Default true.
   */
  probe?: boolean;
  /** Ask for a new random name even when the last one is still leased to this upstream. Default false. */
  newName?: boolean;
  /**
   * When to check whether the upstream accepts connections, and report it in `upstream` events. For a service on this machine
   * the check makes no connection (Linux). `true` means `always`, `false` means the default. Default `when refused`.
   */
  watchUpstream?: WatchUpstream | boolean;
  /**
   * Explain in `notice` events that a dev server refuses the public name (HOST_REFUSED), or that the upstream speaks another
   * protocol (UPSTREAM_TLS, UPSTREAM_PROTOCOL). For this the agent reads the beginning of each answer, and begins a TLS
   * handshake with an upstream that closes without an answer, three times at most. Default false.
   */
  explainHostChecks?: boolean;
  /**
   * While the upstream does not accept connections, dial it again for each visitor for this long before the visitor is reset,
   * ms. Default 0: once. At most 256 visitors wait at a time.
   */
  waitUpstreamMs?: number;
  /**
   * While the upstream does not accept connections, HTTP visitors of the TLS name get 503 and a short page that reloads
   * itself. Other visitors are reset. Default false.
   */
  offlinePage?: boolean;
  /**
   * Only visitors from these addresses and ranges (`203.0.113.0/24`, `2001:db8::/32`), 64 at the most; the relay refuses all others.
   * Behind a load balancer that hides visitors' addresses, the relay sees the load balancer's.
   */
  cidrAllow?: readonly string[];
  /** No visitors from these, even where `cidrAllow` has them. */
  cidrDeny?: readonly string[];
  /**
   * Each connection to the upstream begins with a PROXY header of this version, which has the visitor's address and port. The
   * upstream must expect it. Not for a folder. Default: no header.
   */
  proxyProtocol?: 1 | 2;
  /** Ends the tunnel like `close()`; before the tunnel exists, `forward` rejects with ABORTED. */
  signal?: AbortSignal;
  /**
   * All events in order, with `ready`. Must not throw. `of` is `link` for events about the link: all tunnels that share it
   * get the same object.
   */
  onEvent?: (event: TunnelEvent, of?: 'link') => void;
  log?: LogSink;
}

/** One public side of a tunnel: host and port. */
export type SocketAddress = readonly [host: string, port: number];

/** A local port with a public address. Ends with `close()`, `destroy()`, its AbortSignal, or the scope of `await using`. */
export interface Tunnel extends AsyncDisposable {
  /** `https://host`, with `:port` only when it is not 443. */
  readonly url: string;
  /** With `private`: `url` with the token of the first link. Undefined otherwise. */
  readonly link: string | undefined;
  /** With `private`: the links that work now, without their tokens. Throws NOT_PRIVATE otherwise. */
  readonly links: readonly LinkFacts[];
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
  /** The last measured round trip to the relay, ms; undefined without a link. */
  readonly rttMs: number | undefined;
  /** Resolves after an orderly end; rejects with the TunlError that ended the tunnel for good. */
  readonly closed: Promise<void>;
  /** Makes one more link to a `private` tunnel. Throws NOT_PRIVATE, LINKS_TOO_MANY or OPTION_INVALID. */
  share(options?: LinkOptions): SharedLink;
  /** The link works no more, and its visitors are cut off. Throws NOT_PRIVATE or LINK_UNKNOWN. */
  revoke(id: string): LinkFacts;
  /**
   * Other addresses that visitors may come from, in place of all earlier ones; open connections from elsewhere are reset.
   * Throws OPTION_INVALID or RELAY_LACKS_FEATURE.
   */
  restrict(options: AddressOptions): void;
  /**
   * No new visitors; open ones may finish for `drainTimeoutMs` (default: that of `forward`), then the tunnel ends.
   * Idempotent.
   */
  close(options?: {drainTimeoutMs?: number}): Promise<void>;
  /** Ends at once: open connections are reset. Idempotent. */
  destroy(error?: Error): void;
}
