// One local service with a public address: its binds at an agent, its upstream, and what is told about them.

import {SocketReads} from '../bytes/socket-reads.js';
import type {UnreadLimit} from '../bytes/unread-limit.js';
import {atMost, systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import type {BlockPool} from '../mux/blocks.js';
import type {TunnelRequest} from '../protocol/control-messages.js';
import {formatHostPort, type HostPort, publicUrl} from '../protocol/targets.js';
import type {BindingOwner, Bound} from './bindings.js';
import type {ReadyEvent, TunnelEvent} from './events.js';
import {HostChecks} from './host-checks.js';
import type {SocketAddress, Tunnel, WatchUpstream} from './options.js';
import {UpstreamJoin} from './upstream-join.js';
import {type UpstreamWatch, watchUpstream} from './upstream-watch.js';
import type {Upstream} from './upstreams/upstream.js';
import {Visits} from './visits.js';

/** The public addresses from the relay. */
export interface PublicSides {
  tls: HostPort;
  tcp?: HostPort;
}

/** The parts of the shared agent that a tunnel needs. */
export interface TunnelHost {
  readonly relay: ReadyEvent['relay'];
  readonly pool: BlockPool;
  readonly unread: UnreadLimit;
  readonly rttMs: number | undefined;
  /** Whether the relay has yet to acknowledge something. */
  readonly isBehind: boolean;
  join(tunnel: LocalTunnel): void;
  start(): Promise<void>;
  bind(wish: TunnelRequest, owner: BindingOwner): Promise<Bound>;
  unbind(owner: BindingOwner, error?: TunlError): void;
  /** Numbers the visitors of all tunnels. */
  nextVisitor(): number;
  isLast(tunnel: LocalTunnel): boolean;
  /** One of several has ended; the last one calls `leave` or `destroy`, and hears `agentEnded`. */
  drop(tunnel: LocalTunnel): void;
  leave(lastBytesMs: number): Promise<void>;
  destroy(error: TunlError): void;
  /** Resolves when an agent that is over has told its relay. */
  gone(): Promise<void>;
}

/** Everything settled: no defaults, no environment. */
export interface TunnelSettings {
  /** Undefined: it is told later, by `pointTo`. */
  upstream: Upstream | undefined;
  /** Whether answers that refuse the public name are recognised and explained, once. */
  explainHostChecks: boolean;
  /** When it is looked whether the upstream accepts connections. */
  watchUpstream: WatchUpstream;
  /** How long a visitor waits for an upstream that does not accept connections, ms. */
  waitUpstreamMs: number;
  unencrypted: boolean;
  h2: boolean;
  /** With h2: offer HTTP/1.1 as well. */
  http1: boolean;
  subdomain: string | undefined;
  /** A random name and port of before, to be had again if they can be. Never rejects. */
  remembered: Promise<{name?: string; port?: number}>;
  remotePort: number | undefined;
  drainTimeoutMs: number;
  signal: AbortSignal | undefined;
  onEvent: (event: TunnelEvent, of?: 'link') => void;
  log: LogSink | undefined;
  /** Ends what the tunnel stands on, once it has ended and before `closed` settles. Not called when `open` rejects. */
  cleanUp: () => Promise<void>;
}

export class LocalTunnel implements Tunnel {
  readonly closed: Promise<void>;
  readonly #settings: TunnelSettings;
  readonly #host: TunnelHost;
  readonly #owner: BindingOwner;
  readonly #upstream: UpstreamJoin;
  readonly #watch: UpstreamWatch | undefined;
  readonly #visits: Visits;
  readonly #over = Promise.withResolvers<void>();
  /** Rejects when it ends while it is being opened. */
  readonly #stopped = Promise.withResolvers<never>();
  #sides: PublicSides | undefined;
  #ready: ReadyEvent | undefined;
  #closing: Promise<void> | undefined;
  #ended = false;
  /** `open` has resolved: from here on the tunnel cleans up after itself. */
  #opened = false;
  #reason: TunlError | undefined;

  private constructor(host: TunnelHost, settings: TunnelSettings) {
    this.#host = host;
    this.#settings = settings;
    this.closed = this.#over.promise;
    // A caller that does not watch `closed` still gets its events; an unhandled rejection would end its process.
    this.closed.catch(() => {});
    this.#stopped.promise.catch(() => {});
    const {onEvent} = settings;
    const checks = settings.explainHostChecks
      ? new HostChecks((message) => onEvent({type: 'notice', code: 'HOST_REFUSED', message}))
      : undefined;
    this.#upstream = new UpstreamJoin(settings.upstream, {
      reads: new SocketReads(host.pool),
      unread: host.unread,
      checks,
      waitMs: settings.waitUpstreamMs,
    });
    this.#watch = watchUpstream(this.#upstream, settings);
    this.#visits = new Visits({
      upstream: this.#upstream,
      onEvent,
      onDialled: (answered, why) => this.#watch?.visited(answered, why),
      nextId: () => host.nextVisitor(),
    });
    this.#owner = {
      onVisitor: this.#visits.begin,
      // One side without the other is not the tunnel that was asked for.
      onLost: (error) => this.destroy(error),
    };
  }

  /** Resolves when visitors can come; with an upstream that is told later, when its names are known. @throws TunlError why they cannot. */
  static async open(host: TunnelHost, settings: TunnelSettings): Promise<LocalTunnel> {
    const {signal} = settings;
    if (signal?.aborted) throw new TunlError('ABORTED');
    const tunnel = new LocalTunnel(host, settings);
    host.join(tunnel);
    const abort = () => tunnel.destroy(new TunlError('ABORTED'));
    signal?.addEventListener('abort', abort, {once: true});
    try {
      await Promise.race([tunnel.#bringUp(), tunnel.#stopped.promise]);
    } catch (error) {
      signal?.removeEventListener('abort', abort);
      const why = error instanceof TunlError ? error : new TunlError('UNEXPECTED', {cause: error});
      tunnel.destroy(why);
      await host.gone();
      throw tunnel.#reason ?? why;
    }
    tunnel.#opened = true;
    signal?.removeEventListener('abort', abort);
    const close = () => void tunnel.close();
    signal?.addEventListener('abort', close, {once: true});
    tunnel.closed.catch(() => {}).finally(() => signal?.removeEventListener('abort', close));
    return tunnel;
  }

  async #bringUp(): Promise<void> {
    await this.#host.start();
    const [tls, tcp] = await Promise.all([this.#bindTls(), this.#bindTcp()]);
    this.#sides = {tls, ...(tcp === undefined ? {} : {tcp})};
    const {upstream} = this.#settings;
    if (upstream !== undefined) this.#becomeReady(upstream);
    // A listener of the event may have ended the tunnel at once.
    if (this.#ended) throw this.#reason ?? new TunlError('CLOSED');
  }

  get ready(): ReadyEvent {
    if (this.#ready === undefined) throw new TunlError('CLOSED');
    return this.#ready;
  }

  /** The public names, known before `ready` where the upstream is told later. */
  get sides(): PublicSides {
    if (this.#sides === undefined) throw new TunlError('CLOSED');
    return this.#sides;
  }

  /** Tells the upstream where there was none: visitors are let in, and the tunnel is ready. */
  pointTo(upstream: Upstream, about: Partial<ReadyEvent>): void {
    this.#upstream.pointTo(upstream);
    this.#becomeReady(upstream, about);
  }

  get url(): string {
    return this.ready.url as string;
  }

  get tlsSocket(): SocketAddress {
    const {host, port} = this.ready.tls as {host: string; port: number};
    return [host, port];
  }

  get tcpSocket(): SocketAddress {
    const {tcp} = this.ready;
    if (tcp === undefined) throw new TunlError('NO_TCP_SOCKET');
    return [tcp.host, tcp.port];
  }

  get rttMs(): number | undefined {
    return this.#host.rttMs;
  }

  get connections(): number {
    return this.#visits.open;
  }

  get traffic(): {bytesIn: number; bytesOut: number} {
    return this.#visits.traffic;
  }

  close(options: {drainTimeoutMs?: number} = {}): Promise<void> {
    // An upstream that ends together with its tunnel is not reported.
    this.#watch?.[Symbol.dispose]();
    this.#closing ??= this.#drain(options.drainTimeoutMs ?? this.#settings.drainTimeoutMs);
    return this.#closing;
  }

  destroy(error?: Error): void {
    if (this.#ended) return;
    const reason = error instanceof TunlError ? error : new TunlError('CLOSED', {cause: error});
    this.#reason = reason;
    if (this.#host.isLast(this)) this.#host.destroy(reason);
    else this.#leaveOthers(reason);
  }

  get log(): LogSink | undefined {
    return this.#settings.log;
  }

  /** Passes on an event of the shared link. */
  tell(event: TunnelEvent): void {
    this.#settings.onEvent(event, 'link');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #drain(timeoutMs: number): Promise<void> {
    const until = systemClock.now() + timeoutMs;
    // A visitor has gone when its last bytes were handed on; they may still be on their way to the relay.
    const isBusy = this.#visits.open > 0 || this.#host.isBehind;
    if (timeoutMs > 0 && !this.#ended) {
      this.#host.unbind(this.#owner);
      if (this.#visits.open > 0) {
        this.#settings.onEvent({type: 'draining', connections: this.#visits.open, timeoutMs});
        await atMost(systemClock, timeoutMs, this.#visits.idle());
      }
    }
    if (!this.#ended) {
      if (this.#host.isLast(this))
        await this.#host.leave(isBusy ? Math.max(0, until - systemClock.now()) : 0);
      else this.#leaveOthers(undefined);
    }
    await this.closed.catch(() => {});
  }

  /** It ends alone: the link, and the tunnels that share it, go on. */
  #leaveOthers(why: TunlError | undefined): void {
    this.#host.unbind(this.#owner, why);
    this.#visits.cut();
    this.#host.drop(this);
    this.agentEnded(why);
  }

  async #bindTls(): Promise<Bound> {
    const {h2, http1, subdomain, remembered} = this.#settings;
    const {name: prefer} = await remembered;
    const wish = subdomain !== undefined ? {name: subdomain} : prefer !== undefined ? {prefer} : {};
    const offers = h2 && !http1 ? {h2, http1} : {h2};
    return await this.#bind({kind: 'tls', ...offers, ...wish});
  }

  async #bindTcp(): Promise<Bound | undefined> {
    const {unencrypted, remotePort, remembered} = this.#settings;
    if (!unencrypted) return undefined;
    const {port: prefer} = await remembered;
    const wish = remotePort !== undefined ? {port: remotePort} : prefer !== undefined ? {prefer} : {};
    const bound = await this.#bind({kind: 'tcp', ...wish});
    this.#upstream.publicPort = bound.port;
    return bound;
  }

  async #bind(wish: TunnelRequest): Promise<Bound> {
    // It may have ended while others of its agent went on.
    if (this.#ended) throw this.#reason ?? new TunlError('CLOSED');
    return await this.#host.bind(wish, this.#owner);
  }

  #becomeReady(upstream: Upstream, about: Partial<ReadyEvent> = {}): void {
    const {tls, tcp} = this.sides;
    const {h2} = this.#settings;
    const url = publicUrl(tls.host, tls.port);
    this.#ready = {
      type: 'ready',
      address: tcp === undefined ? url : formatHostPort(tcp.host, tcp.port),
      url,
      tls: {host: tls.host, port: tls.port},
      ...(tcp === undefined ? {} : {tcp: {host: tcp.host, port: tcp.port}}),
      upstream: upstream.label,
      relay: this.#host.relay,
      h2,
      ...about,
    };
    this.#settings.onEvent(this.#ready);
    // A program was waited for until it answered.
    this.#watch?.begin(about.program !== undefined);
  }

  async #cleanUp(): Promise<void> {
    await this.#host.gone();
    await this.#settings.cleanUp();
  }

  /** Nothing more comes, for this reason: the agent has ended, or this tunnel has left it. */
  agentEnded(error: TunlError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch?.[Symbol.dispose]();
    const why = this.#reason ?? error;
    const orderly = why === undefined || why.code === 'CLOSED';
    if (this.#ready !== undefined) {
      if (orderly) this.#settings.onEvent({type: 'closed', connections: this.#visits.total});
      else {
        const {code, message, next, exitCode} = why;
        this.#settings.onEvent({type: 'error', code, message, next, exitCode});
      }
    }
    const settle = () => {
      if (orderly && this.#ready !== undefined) this.#over.resolve();
      else this.#over.reject(why ?? new TunlError('CLOSED'));
    };
    this.#stopped.reject(why ?? new TunlError('ABORTED'));
    if (this.#opened) void this.#cleanUp().then(settle, settle);
    else settle();
  }
}
