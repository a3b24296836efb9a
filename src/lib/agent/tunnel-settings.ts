// The parts of a tunnel: its settings, and the parts of the shared agent that it uses.

import type {UnreadLimit} from '../bytes/unread-limit.js';
import type {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import type {BlockPool} from '../mux/blocks.js';
import type {AddressRules, TunnelRequest} from '../protocol/control-messages.js';
import type {BindingOwner, Bound} from './bindings.js';
import type {ReadyEvent, TunnelEvent} from './events.js';
import type {WatchUpstream} from './options.js';
import type {Probed} from './prober.js';
import type {LocalTunnel} from './tunnel.js';
import type {LocalSide, PublicSides} from './tunnel-requests.js';
import type {TunnelGates} from './upstreams/gated/tunnel-gates.js';
import type {ProxyHeader} from './upstreams/proxy-header.js';
import type {Upstream} from './upstreams/upstream.js';

/** The parts of the shared agent that a tunnel needs. */
export interface TunnelHost {
  readonly relay: ReadyEvent['relay'];
  readonly pool: BlockPool;
  readonly unread: UnreadLimit;
  readonly rttMs: number | undefined;
  /** True when the relay has not acknowledged everything. */
  readonly isBehind: boolean;
  start(): Promise<void>;
  bind(request: TunnelRequest, owner: BindingOwner): Promise<Bound>;
  unbind(owner: BindingOwner, error?: TunlError): void;
  /** As `Bindings.restrict`. */
  restrict(owner: BindingOwner, cidr: AddressRules): void;
  /** As `Prober.probe`. */
  probe(sides: PublicSides, options: {viaRelay: boolean}): Promise<Probed | undefined>;
  /** Numbers the visitors of all tunnels. */
  nextVisitor(): number;
  isLast(tunnel: LocalTunnel): boolean;
  /** One of several tunnels has ended. The last one calls `leave` or `destroy` instead, and gets `agentEnded`. */
  drop(tunnel: LocalTunnel): void;
  leave(lastBytesMs: number): Promise<void>;
  destroy(error: TunlError): void;
  /** Resolves when an agent that has ended has told its relay. */
  gone(): Promise<void>;
}

/** All values are settled: no defaults, no environment. */
export interface TunnelSettings {
  /** Undefined: `pointTo` sets it later. */
  upstream: Upstream | undefined;
  /** Whether answers that refuse the public name are recognised and explained, once. */
  explainHostChecks: boolean;
  /** When to probe the upstream. */
  watchUpstream: WatchUpstream;
  /** How long a visitor waits for an upstream that does not accept connections, ms. */
  waitUpstreamMs: number;
  offlinePage: boolean;
  /** Tells the upstream the address of each visitor. */
  proxyHeader: ProxyHeader | undefined;
  /** Decide about each HTTP request. */
  gates: TunnelGates | undefined;
  /** Whether to try the public name from outside. */
  probe: boolean;
  unencrypted: boolean;
  h2: boolean;
  /** With h2: offer HTTP/1.1 as well. */
  http1: boolean;
  subdomain: string | undefined;
  /** The random name and port of an earlier tunnel, which the relay may give again. Never rejects. */
  remembered: Promise<{name?: string; port?: number}>;
  remotePort: number | undefined;
  /** The addresses that visitors may come from. Undefined: all. */
  cidr: AddressRules | undefined;
  /** Opens a port of this machine for the name that the relay gave. Rejects when a port that the user asked for cannot be had. */
  openLocal: ((host: string) => Promise<LocalSide | undefined>) | undefined;
  drainTimeoutMs: number;
  signal: AbortSignal | undefined;
  onEvent: (event: TunnelEvent, of?: 'link') => void;
  log: LogSink | undefined;
  /** Frees what the tunnel needs, after its end and before `closed` settles. Not called when `open` rejects. */
  cleanUp: () => Promise<void>;
}
