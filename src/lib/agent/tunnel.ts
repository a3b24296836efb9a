// One local port with a public address: an agent, its binds, its upstream, and what is told about them.

import {totalmem} from 'node:os';
import {SocketReads} from '../bytes/socket-reads.js';
import {defaultUnreadLimit, UnreadLimit} from '../bytes/unread-limit.js';
import {atMost, systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {createLogger, type LogSink} from '../core/logger.js';
import {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import type {Identify} from '../mux/handshake.js';
import {formatHostPort, type HostPort, publicUrl} from '../protocol/targets.js';
import {Agent} from './agent.js';
import type {Bound} from './bindings.js';
import type {ReadyEvent, TunnelEvent} from './events.js';
import {HostChecks} from './host-checks.js';
import {watchNetwork} from './network-watch.js';
import type {SocketAddress, Tunnel} from './options.js';
import type {Successors} from './successors.js';
import {UpstreamJoin} from './upstream-join.js';
import {type UpstreamWatch, type WatchWish, watchUpstream} from './upstream-watch.js';
import type {Upstream} from './upstreams/upstream.js';
import {Visits} from './visits.js';

/** What the relay gave. */
export interface PublicSides {
  tls: HostPort;
  tcp?: HostPort;
}

/** Everything settled: no defaults, no environment. */
export interface TunnelSettings {
  /** Undefined: it is told later, by `pointTo`. */
  upstream: Upstream | undefined;
  /** Whether answers that refuse the public name are recognised and explained, once. */
  explainHostChecks: boolean;
  /** When it is looked whether the upstream accepts connections. */
  watchUpstream: WatchWish;
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
  relay: ReadyEvent['relay'];
  software: string;
  dial: (signal: AbortSignal, url: string | undefined) => Promise<Carrier>;
  successors: Successors;
  identify: Identify | undefined;
  wait: boolean;
  maxRetryTimeMs: number | undefined;
  drainTimeoutMs: number;
  keepForReplay: boolean;
  signal: AbortSignal | undefined;
  onEvent: (event: TunnelEvent) => void;
  log: LogSink | undefined;
  /** Ends what the tunnel stands on, once it has ended and before `closed` settles. Not called when `open` rejects. */
  cleanUp: () => Promise<void>;
}

/** After a change of this machine's addresses or a sleep the old link has to show that it lives within this time, ms. */
const PROBE_MS = 2_000;

export class LocalTunnel implements Tunnel {
  readonly closed: Promise<void>;
  readonly #settings: TunnelSettings;
  readonly #agent: Agent;
  readonly #unread: UnreadLimit;
  readonly #upstream: UpstreamJoin;
  readonly #watch: UpstreamWatch | undefined;
  readonly #visits: Visits;
  readonly #over = Promise.withResolvers<void>();
  #sides: PublicSides | undefined;
  #ready: ReadyEvent | undefined;
  #network: Disposable | undefined;
  #closing: Promise<void> | undefined;
  #ended = false;
  /** `open` has resolved: from here on the tunnel cleans up after itself. */
  #opened = false;
  #reason: TunlError | undefined;

  private constructor(settings: TunnelSettings) {
    this.#settings = settings;
    this.closed = this.#over.promise;
    // A caller that does not watch `closed` still gets its events; an unhandled rejection would end its process.
    this.closed.catch(() => {});
    const pool = new BlockPool();
    const checks = settings.explainHostChecks
      ? new HostChecks((message) => settings.onEvent({type: 'notice', code: 'HOST_REFUSED', message}))
      : undefined;
    this.#unread = new UnreadLimit({
      limitBytes: defaultUnreadLimit(totalmem()),
      clock: systemClock,
      log: createLogger('agent', settings.log),
    });
    this.#upstream = new UpstreamJoin(settings.upstream, {
      reads: new SocketReads(pool),
      unread: this.#unread,
      checks,
      waitMs: settings.waitUpstreamMs,
    });
    this.#watch = watchUpstream(this.#upstream, settings);
    this.#visits = new Visits(this.#upstream, settings.onEvent, (answered, why) =>
      this.#watch?.visited(answered, why),
    );
    this.#agent = new Agent({
      software: settings.software,
      pool,
      log: createLogger('agent', settings.log),
      dial: settings.dial,
      successors: settings.successors,
      wait: settings.wait,
      keepForReplay: settings.keepForReplay,
      ...(settings.identify === undefined ? {} : {identify: settings.identify}),
      ...(settings.maxRetryTimeMs === undefined ? {} : {maxRetryTimeMs: settings.maxRetryTimeMs}),
      events: {
        onReconnecting: ({state, error, attempt, delayMs, streams, keptForMs}) =>
          settings.onEvent({
            type: 'reconnecting',
            state,
            code: error.code,
            reason: error.message,
            attempt,
            delayMs: Math.round(delayMs),
            connections: streams,
            keptForMs,
          }),
        onResumed: (awayMs, resumed, lost) =>
          settings.onEvent({type: 'resumed', awayMs: Math.round(awayMs), resumed, lost}),
        onNotice: (code, message) => settings.onEvent({type: 'notice', code, message}),
        onEnded: (error) => this.#onAgentEnded(error),
      },
    });
  }

  /** Resolves when visitors can come; with an upstream that is told later, when its names are known. @throws TunlError why they cannot. */
  static async open(settings: TunnelSettings): Promise<LocalTunnel> {
    if (settings.signal?.aborted) throw new TunlError('ABORTED');
    const tunnel = new LocalTunnel(settings);
    const abort = () => tunnel.destroy(new TunlError('ABORTED'));
    settings.signal?.addEventListener('abort', abort, {once: true});
    try {
      await tunnel.#agent.start();
      const [tls, tcp] = await Promise.all([tunnel.#bindTls(), tunnel.#bindTcp()]);
      tunnel.#sides = {tls, ...(tcp === undefined ? {} : {tcp})};
      if (settings.upstream !== undefined) tunnel.#becomeReady(settings.upstream);
      // Whoever was told of it may have ended it at once.
      if (tunnel.#ended) throw tunnel.#reason ?? new TunlError('CLOSED');
      tunnel.#network = watchNetwork({
        onChange: () => tunnel.#agent.nudge(PROBE_MS),
        onWake: () => tunnel.#agent.wake(PROBE_MS),
      });
    } catch (error) {
      settings.signal?.removeEventListener('abort', abort);
      tunnel.#reason = error instanceof TunlError ? error : new TunlError('UNEXPECTED', {cause: error});
      tunnel.#agent.destroy(tunnel.#reason);
      await tunnel.#agent.gone();
      throw tunnel.#reason;
    }
    tunnel.#opened = true;
    settings.signal?.removeEventListener('abort', abort);
    const close = () => void tunnel.close();
    settings.signal?.addEventListener('abort', close, {once: true});
    tunnel.closed.catch(() => {}).finally(() => settings.signal?.removeEventListener('abort', close));
    return tunnel;
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
    return this.#agent.rttMs;
  }

  get connections(): number {
    return this.#visits.open;
  }

  close(options: {drainTimeoutMs?: number} = {}): Promise<void> {
    // What ends together with its tunnel is not missed.
    this.#watch?.[Symbol.dispose]();
    this.#closing ??= this.#drain(options.drainTimeoutMs ?? this.#settings.drainTimeoutMs);
    return this.#closing;
  }

  destroy(error?: Error): void {
    if (this.#ended) return;
    const reason = error instanceof TunlError ? error : new TunlError('CLOSED', {cause: error});
    this.#reason = reason;
    this.#agent.destroy(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #drain(timeoutMs: number): Promise<void> {
    const until = systemClock.now() + timeoutMs;
    // A visitor has gone when its last bytes were handed on; they may still be on their way to the relay.
    const isBusy = this.#visits.open > 0 || this.#agent.isBehind;
    if (timeoutMs > 0 && !this.#ended) {
      this.#agent.unbindAll();
      if (this.#visits.open > 0) {
        this.#settings.onEvent({type: 'draining', connections: this.#visits.open, timeoutMs});
        await atMost(systemClock, timeoutMs, this.#visits.idle());
      }
    }
    await this.#agent.leave(isBusy ? Math.max(0, until - systemClock.now()) : 0);
    await this.closed.catch(() => {});
  }

  async #bindTls(): Promise<Bound> {
    const {h2, http1, subdomain, remembered} = this.#settings;
    const {name: prefer} = await remembered;
    const wish = subdomain !== undefined ? {name: subdomain} : prefer !== undefined ? {prefer} : {};
    const offers = h2 && !http1 ? {h2, http1} : {h2};
    return await this.#agent.bind({kind: 'tls', ...offers, ...wish}, this.#visitors);
  }

  async #bindTcp(): Promise<Bound | undefined> {
    const {unencrypted, remotePort, remembered} = this.#settings;
    if (!unencrypted) return undefined;
    const {port: prefer} = await remembered;
    const wish = remotePort !== undefined ? {port: remotePort} : prefer !== undefined ? {prefer} : {};
    const bound = await this.#agent.bind({kind: 'tcp', ...wish}, this.#visitors);
    this.#upstream.publicPort = bound.port;
    return bound;
  }

  #becomeReady(upstream: Upstream, about: Partial<ReadyEvent> = {}): void {
    const {tls, tcp} = this.sides;
    const {relay, h2} = this.#settings;
    const url = publicUrl(tls.host, tls.port);
    this.#ready = {
      type: 'ready',
      address: tcp === undefined ? url : formatHostPort(tcp.host, tcp.port),
      url,
      tls: {host: tls.host, port: tls.port},
      ...(tcp === undefined ? {} : {tcp: {host: tcp.host, port: tcp.port}}),
      upstream: upstream.label,
      relay,
      h2,
      ...about,
    };
    this.#settings.onEvent(this.#ready);
    // A program was waited for until it answered.
    this.#watch?.begin(about.program !== undefined);
  }

  async #cleanUp(): Promise<void> {
    await this.#agent.gone();
    await this.#settings.cleanUp();
  }

  get #visitors() {
    return {
      onVisitor: this.#visits.begin,
      // One side without the other is not the tunnel that was asked for.
      onLost: (error: TunlError) => this.destroy(error),
    };
  }

  #onAgentEnded(error: TunlError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch?.[Symbol.dispose]();
    this.#unread.close();
    this.#network?.[Symbol.dispose]();
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
    if (this.#opened) void this.#cleanUp().then(settle, settle);
    else settle();
  }
}
