// One local service with a public address: its binds at an agent, its upstream, and its events.

import {SocketReads} from '../bytes/socket-reads.js';
import {atMost, systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import type {TunnelRequest} from '../protocol/control-messages.js';
import {type AddressOptions, checkedRules} from './address-rules.js';
import type {BindingOwner, Bound} from './bindings.js';
import type {ReadyEvent, TunnelEvent} from './events.js';
import {hostChecksOf} from './host-checks.js';
import {whatIsAllowed} from './optional-name.js';
import type {SocketAddress, Tunnel} from './options.js';
import {type Reach, reachOf} from './reach.js';
import {RelayWarnings} from './relay-warnings.js';
import {knownOf, type Phase} from './tunnel-phase.js';
import {type PublicSides, readyEvent, tcpRequest, tlsRequest, withAccess} from './tunnel-requests.js';
import type {TunnelHost, TunnelSettings} from './tunnel-settings.js';
import {SHOWN, shown} from './tunnel-shown.js';
import {UpstreamJoin} from './upstream-join.js';
import {type UpstreamWatch, watchUpstream} from './upstream-watch.js';
import type {LinkFacts, LinkOptions} from './upstreams/gated/links.js';
import type {SharedLink, TunnelGates} from './upstreams/gated/tunnel-gates.js';
import type {Upstream} from './upstreams/upstream.js';
import {Visits} from './visits.js';

export class LocalTunnel implements Tunnel {
  readonly closed: Promise<void>;
  readonly #settings: TunnelSettings;
  readonly #host: TunnelHost;
  readonly #owner: BindingOwner;
  readonly #upstream: UpstreamJoin;
  readonly #watch: UpstreamWatch | undefined;
  readonly visits: Visits;
  readonly #over = Promise.withResolvers<void>();
  #phase: Phase;
  #closing: Promise<void> | undefined;
  readonly #warnings: RelayWarnings;
  readonly #reach: Reach | undefined;

  constructor(host: TunnelHost, settings: TunnelSettings) {
    this.#host = host;
    this.#settings = settings;
    const stopped = Promise.withResolvers<never>();
    this.#phase = {is: 'opening', stopped};
    this.closed = this.#over.promise;
    // A caller that does not watch `closed` still gets its events; an unhandled rejection would end its process.
    this.closed.catch(() => {});
    stopped.promise.catch(() => {});
    const {onEvent} = settings;
    const checks = hostChecksOf(settings, {
      isOver: () => this.#ended,
      speaksTls: () => this.#upstream.speaksTls(),
    });
    this.#upstream = new UpstreamJoin(settings.upstream && this.#gated(settings.upstream), {
      reads: new SocketReads(host.pool),
      unread: host.unread,
      tap: checks && (() => checks.begin()),
      waitMs: settings.waitUpstreamMs,
      offlinePage: settings.offlinePage,
      proxyHeader: settings.proxyHeader,
    });
    this.#warnings = new RelayWarnings(onEvent);
    this.#watch = watchUpstream(this.#upstream, settings);
    this.visits = new Visits({
      upstream: this.#upstream,
      gate: settings.gates?.stream,
      onEvent,
      onDialled: (answered, why) => this.#watch?.visited(answered, why),
      onUnanswered: checks && ((protocol) => checks.unanswered(protocol)),
      nextId: () => host.nextVisitor(),
    });
    this.#reach = reachOf(settings, (options) => host.probe(this.sides, options));
    this.#owner = {
      onVisitor: this.visits.begin,
      onBound: (kind, bound) => {
        settings.proxyHeader?.bound(kind, bound);
        if (kind === 'tcp') this.#upstream.publicPort = bound.port;
        else settings.gates?.opened({tls: bound});
      },
      onWarning: (code, message) => this.#warnings.said(code, message),
      // A tunnel needs all of its sides.
      onLost: (error) => this.destroy(error),
    };
  }

  /**
   * Resolves when visitors can come; without an upstream, when the names are known. @throws TunlError the reason why they
   * cannot
   */
  async open(): Promise<void> {
    const {signal} = this.#settings;
    const abort = () => this.destroy(new TunlError('ABORTED'));
    signal?.addEventListener('abort', abort, {once: true});
    try {
      if (signal?.aborted) abort();
      await this.#bringUp();
    } catch (error) {
      const why = error instanceof TunlError ? error : new TunlError('UNEXPECTED', {cause: error});
      this.destroy(why);
      await this.#host.gone();
      throw this.#endedBecause ?? why;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    const close = () => void this.close();
    signal?.addEventListener('abort', close, {once: true});
    this.closed.catch(() => {}).finally(() => signal?.removeEventListener('abort', close));
  }

  async #bringUp(): Promise<void> {
    if (this.#phase.is !== 'opening') throw this.#endedBecause ?? new TunlError('CLOSED');
    const {stopped} = this.#phase;
    await Promise.race([this.#bindBoth(), stopped.promise]);
    const {upstream} = this.#settings;
    if (upstream !== undefined) this.#becomeReady(upstream);
    // A listener of the event may have ended the tunnel at once.
    this.#throwIfEnded();
    this.#phase = {is: 'open', ...knownOf(this.#phase)};
  }

  async #bindBoth(): Promise<void> {
    await this.#host.start();
    const [tls, tcp] = await whatIsAllowed(this.#bindTls(), this.#bindTcp(), this.#settings);
    const local = tls && (await this.#settings.openLocal?.(tls.host));
    this.#throwIfEnded();
    const sides = {...(tls && {tls}), ...(tcp && {tcp}), ...(local && {local})};
    this.#settings.gates?.opened(sides);
    this.#phase = {...this.#phase, sides};
    await this.#reach?.first();
  }

  get #endedBecause(): TunlError | undefined {
    return this.#phase.is === 'ended' ? this.#phase.why : undefined;
  }

  get #ended(): boolean {
    return this.#phase.is === 'ended';
  }

  #throwIfEnded(): void {
    if (this.#ended) throw this.#endedBecause ?? new TunlError('CLOSED');
  }

  get ready(): ReadyEvent {
    const {ready} = this.#phase;
    if (ready === undefined) throw new TunlError('CLOSED');
    return ready;
  }

  /** The public names. They are known before `ready` when the upstream is set later. */
  get sides(): PublicSides {
    const {sides} = this.#phase;
    if (sides === undefined) throw new TunlError('CLOSED');
    return sides;
  }

  /** Sets the upstream of a tunnel without one: visitors may come, and the tunnel is ready. @throws TunlError why it has ended */
  pointTo(upstream: Upstream, about: Partial<ReadyEvent>): void {
    this.#upstream.pointTo(this.#gated(upstream));
    this.#becomeReady(upstream, about);
  }

  get url(): string {
    const {url, address} = this.ready;
    return url ?? `tcp://${address}`;
  }

  get link(): string | undefined {
    return this.ready.link;
  }

  get links(): LinkFacts[] {
    return this.#gates.links;
  }

  share(options?: LinkOptions): SharedLink {
    this.#throwIfEnded();
    return this.#gates.share(options);
  }

  revoke(id: string): LinkFacts {
    return this.#gates.revoke(id);
  }

  get tlsSocket(): SocketAddress {
    const {tls} = this.ready;
    if (tls === undefined) throw new TunlError('NOT_ALLOWED', {reason: 'The token allows no name.'});
    return [tls.host, tls.port];
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
    return this.visits.open;
  }

  get traffic(): {bytesIn: number; bytesOut: number} {
    return this.visits.traffic;
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
    if (this.#host.isLast(this)) this.#host.destroy(reason);
    else this.#leaveOthers(reason);
  }

  restrict(options: AddressOptions): void {
    const rules = checkedRules(options);
    this.#host.restrict(this.#owner, rules);
    this.#reach?.restrict();
    this.visits.restrict(rules);
  }

  get log(): LogSink | undefined {
    return this.#settings.log;
  }

  /** Passes on an event of the shared link. */
  tell(event: TunnelEvent): void {
    this.#settings.onEvent(event, 'link');
    if (event.type === 'resumed' && this.#phase.ready !== undefined) this.#reach?.again();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [SHOWN](_depth: number, options: object): string {
    return shown(this.#phase, this.connections, options);
  }

  async #drain(timeoutMs: number): Promise<void> {
    const until = systemClock.now() + timeoutMs;
    // The last bytes of a visitor that has gone may still be on their way to the relay.
    const isBusy = this.visits.open > 0 || this.#host.isBehind;
    if (timeoutMs > 0 && !this.#ended) {
      this.#host.unbind(this.#owner);
      if (this.visits.open > 0) {
        this.#settings.onEvent({type: 'draining', connections: this.visits.open, timeoutMs});
        await atMost(systemClock, timeoutMs, this.visits.idle());
      }
    }
    if (!this.#ended) {
      if (this.#host.isLast(this))
        await this.#host.leave(isBusy ? Math.max(0, until - systemClock.now()) : 0);
      else this.#leaveOthers(undefined);
    }
    await this.closed.catch(() => {});
  }

  /** Only this tunnel ends: the link and the tunnels that share it go on. */
  #leaveOthers(why: TunlError | undefined): void {
    this.#host.unbind(this.#owner, why);
    this.visits.cut();
    this.#host.drop(this);
    this.agentEnded(why);
  }

  async #bindTls(): Promise<Bound> {
    const {name} = await this.#settings.remembered;
    return await this.#bind(tlsRequest(this.#settings, name));
  }

  async #bindTcp(): Promise<Bound | undefined> {
    const {unencrypted, remembered} = this.#settings;
    if (!unencrypted) return undefined;
    const {port} = await remembered;
    return await this.#bind(tcpRequest(this.#settings, port));
  }

  async #bind(request: TunnelRequest): Promise<Bound> {
    // The tunnel may have ended while the agent goes on.
    this.#throwIfEnded();
    return await this.#host.bind(request, this.#owner);
  }

  #becomeReady(upstream: Upstream, about: Partial<ReadyEvent> = {}): void {
    this.#throwIfEnded();
    const {h2} = this.#settings;
    const facts = {upstream: upstream.label, relay: this.#host.relay, h2, ...this.#reach?.fact, ...about};
    const ready = withAccess(readyEvent(this.sides, facts), this.#settings);
    this.#phase = {...this.#phase, ready};
    this.#settings.onEvent(ready);
    if (!this.#ended) this.#warnings.ready();
    if (!this.#ended) this.#reach?.begin();
    // A program has answered before.
    this.#watch?.begin(about.program !== undefined);
  }

  get #gates(): TunnelGates {
    const {gates} = this.#settings;
    if (gates === undefined) throw new TunlError('NOT_PRIVATE');
    return gates;
  }

  #gated(upstream: Upstream): Upstream {
    return this.#settings.gates?.wrap(upstream) ?? upstream;
  }

  async #cleanUp(): Promise<void> {
    await this.#host.gone();
    await this.#settings.cleanUp();
  }

  /** Called when the agent has ended, or when this tunnel has left it. Idempotent. */
  agentEnded(why: TunlError | undefined): void {
    const before = this.#phase;
    if (before.is === 'ended') return;
    this.#phase = {is: 'ended', why, ...knownOf(before)};
    this.#watch?.[Symbol.dispose]();
    this.#reach?.end();
    const orderly = why === undefined || why.code === 'CLOSED';
    const {ready} = before;
    if (ready !== undefined) {
      if (orderly) this.#settings.onEvent({type: 'closed', connections: this.visits.total});
      else {
        const {code, message, next, exitCode} = why;
        this.#settings.onEvent({type: 'error', code, message, next, exitCode});
      }
    }
    const settle = () => {
      if (orderly && ready !== undefined) this.#over.resolve();
      else this.#over.reject(why ?? new TunlError('CLOSED'));
    };
    if (before.is === 'open') void this.#cleanUp().then(settle, settle);
    else {
      before.stopped.reject(why ?? new TunlError('ABORTED'));
      settle();
    }
  }
}
