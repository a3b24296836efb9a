// Joins a visitor's connection with a stream of the agent that holds its tunnel, and counts visitors.

import {PacedSplice} from '../../bytes/paced-splice.js';
import {resetSocket} from '../../bytes/reset.js';
import {Splice} from '../../bytes/splice.js';
import type {UnreadLimit} from '../../bytes/unread-limit.js';
import {atMost, type Clock} from '../../core/clock.js';
import {LinkedList} from '../../core/linked-list.js';
import {Moment} from '../../core/moment.js';
import type {Stream} from '../../mux/stream.js';
import {KeepAlive} from '../../net/keep-alive.js';
import type {VisitorOpen} from '../../protocol/control-messages.js';
import {PROBE_PROTOCOL} from '../../protocol/probe.js';
import {KIND} from '../../protocol/wire.js';
import {allowsKey} from '../access/tunnel-rights.js';
import type {Load} from '../doors/load.js';
import type {Peer} from '../doors/peer.js';
import type {VisitorWatch} from '../doors/visitor-watch.js';
import type {RelayEvents} from '../events.js';
import type {Bandwidths} from '../limits/bandwidth.js';
import type {VisitorLimits} from '../limits/visitor-limits.js';
import type {Part} from '../part.js';
import type {OwnDials} from '../probe/own-dials.js';
import type {RelaySettings} from '../settings.js';
import type {Tunnel, TunnelTraffic} from '../tunnels/tunnel-table.js';
import {OpenVisitor, type Visitor} from './open-visitor.js';
import {ProbeSplice} from './probe-splice.js';
import type {WaitingVisitors} from './waiting-visitors.js';

/** New visitors of a session without a link wait for it, up to this number; the others are reset. */
const MAX_WAITING = 256;

/** A visitor that does not trust the certificate leaves as soon as it has seen it, ms. */
export const AT_ONCE_MS = 1_000;

const ignore = (): void => {};

type Watch = Pick<VisitorWatch, 'add' | 'delete' | 'all'>;

export interface VisitorsOptions {
  clock: Clock;
  load: Pick<Load, 'add'>;
  events: Pick<RelayEvents, 'emit'>;
  unread: UnreadLimit;
  waiting: WaitingVisitors;
  watch: Watch;
  /** True when this process has room for one more visitor. */
  hasRoom: (peer: Peer) => boolean;
  limits: Pick<VisitorLimits, 'enter' | 'leave'>;
  bandwidths: Pick<Bandwidths, 'of'>;
  /** After this much silence, ms, TCP keepalive probes a visitor. */
  keepAliveMs: number;
  /** Connections of this relay to its own public side, which are probes: rules about addresses do not apply. */
  own?: Pick<OwnDials, 'has'>;
  /** The number of open visitors has changed. */
  onCount?: (() => void) | undefined;
}

export class Visitors implements Part {
  readonly #clock: Clock;
  readonly #events: VisitorsOptions['events'];
  readonly #unread: UnreadLimit;
  readonly #watch: Watch;
  readonly #hasRoom: (peer: Peer) => boolean;
  readonly #limits: VisitorsOptions['limits'];
  readonly #bandwidths: VisitorsOptions['bandwidths'];
  readonly #waiting: WaitingVisitors;
  #keepAlive: KeepAlive;
  readonly #own: VisitorsOptions['own'];
  #keepAliveMs: number;
  readonly #onCount: (() => void) | undefined;
  /** Open visitors by tunnel, with probes. */
  readonly #ofTunnel = new WeakMap<Tunnel, LinkedList<OpenVisitor>>();
  /** All visitors so far; the bytes of those that have left. */
  readonly #sums = {visitors: 0, bytesIn: 0, bytesOut: 0};
  /** With probes. */
  #open = 0;
  #probes = 0;
  #idleBytes = 0;
  readonly #idle = new Moment();

  constructor(options: VisitorsOptions) {
    const {clock, load, events, unread, waiting, watch, hasRoom, keepAliveMs, own, onCount} = options;
    this.#limits = options.limits;
    this.#bandwidths = options.bandwidths;
    this.#clock = clock;
    this.#events = events;
    load.add({connections: () => this.#open, idleBytes: () => this.#idleBytes});
    this.#unread = unread;
    this.#waiting = waiting;
    this.#watch = watch;
    this.#hasRoom = hasRoom;
    this.#keepAlive = new KeepAlive(keepAliveMs);
    this.#own = own;
    this.#keepAliveMs = keepAliveMs;
    this.#onCount = onCount;
  }

  /** Open visitors keep their probes. */
  reload({keepAliveMs}: Pick<RelaySettings, 'keepAliveMs'>): void {
    if (keepAliveMs === this.#keepAliveMs) return;
    this.#keepAliveMs = keepAliveMs;
    this.#keepAlive = new KeepAlive(keepAliveMs);
  }

  /** Without probes. */
  get open(): number {
    return this.#open - this.#probes;
  }

  /** The memory of all visitors if they are idle. */
  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** Sums of all visitors so far; of open ones the bytes until now. */
  get totals(): TunnelTraffic {
    const sum = {...this.#sums};
    for (const {stream, isProbe} of this.#all()) {
      if (isProbe) continue;
      sum.bytesIn += stream.bytesOut;
      sum.bytesOut += stream.bytesIn;
    }
    return sum;
  }

  /** The visitors of each tunnel that has some now, with the bytes of those that have left. */
  byTunnel(): Map<Tunnel, {open: number; bytesIn: number; bytesOut: number}> {
    const sums = new Map<Tunnel, {open: number; bytesIn: number; bytesOut: number}>();
    for (const {tunnel, stream, isProbe} of this.#all()) {
      if (isProbe) continue;
      const {bytesIn, bytesOut} = tunnel.traffic;
      const sum = sums.get(tunnel) ?? {open: 0, bytesIn, bytesOut};
      sums.set(tunnel, sum);
      sum.open += 1;
      sum.bytesIn += stream.bytesOut;
      sum.bytesOut += stream.bytesIn;
    }
    return sums;
  }

  /** Resets the visitors for which this holds. */
  cut(isMeant: (visitor: {tunnel: Tunnel; peer: Peer}) => boolean): void {
    for (const visitor of [...this.#all()]) if (isMeant(visitor)) visitor.cut('CANCELLED');
  }

  /** Open visitors may finish. */
  async drain(until: number): Promise<void> {
    const leftMs = until - this.#clock.now();
    if (leftMs > 0 && this.#open > 0) await atMost(this.#clock, leftMs, this.#idle.next());
  }

  /** Whether the tunnel takes visitors from this address. The holder hears of the first one that stays out. */
  admits(tunnel: Tunnel, {address, port}: Peer): boolean {
    const {addresses} = tunnel;
    if (addresses === undefined || addresses.admits(address)) return true;
    if (this.#own?.has(address, port)) return true;
    this.#events.emit({type: 'address-refused', host: tunnel.host, from: address});
    if (addresses.refused === 0) tunnel.warn('ADDRESS_REFUSED', firstRefused(address));
    addresses.refused += 1;
    return false;
  }

  /** Joins a visitor with a new stream of the tunnel's session, or resets it when that is impossible. */
  welcome(tunnel: Tunnel | undefined, visitor: Visitor): void {
    const {socket, raw, peer} = visitor;
    const isProbe = visitor.alpn === PROBE_PROTOCOL;
    const entered = tunnel && this.#enter(tunnel, peer, isProbe);
    const stream = entered && openStream(tunnel, visitor);
    if (tunnel === undefined || entered === undefined || stream === undefined) {
      if (entered) this.#limits.leave(entered);
      socket.on('error', ignore);
      resetSocket(socket, raw);
      return;
    }
    const onSocketOver = visitor.onLeftAtOnce && this.#watchEnd(visitor, stream, visitor.onLeftAtOnce);
    const bandwidth = isProbe ? undefined : this.#bandwidths.of(tunnel);
    const open = new OpenVisitor({
      visitor,
      tunnel,
      stream,
      isProbe,
      entered,
      bandwidth,
      onSocketOver,
      keepAlive: this.#keepAlive,
      onOver: this.#onOver,
    });
    const splice = this.#spliceFor(open);
    open.splice = splice;
    this.#open += 1;
    this.#idleBytes += open.idleBytes;
    if (isProbe) {
      this.#probes += 1;
    } else {
      tunnel.traffic.visitors += 1;
      this.#sums.visitors += 1;
    }
    this.#onCount?.();
    open.unread = this.#unread.add(open);
    open.watched = this.#watch.add(open);
    open.ofTunnel = this.#visitorsOf(tunnel).push(open);
    splice.join(socket, 'accepted');
    this.#waiting.add(splice, tunnel.session);
  }

  #spliceFor(open: OpenVisitor): Splice {
    if (open.isProbe) return new ProbeSplice(open, this.#clock);
    return open.bandwidth === undefined ? new Splice(open) : new PacedSplice(open, open.bandwidth.rates);
  }

  readonly #onOver = (visitor: OpenVisitor): void => {
    const {stream, tunnel, isProbe, unread, watched, ofTunnel} = visitor;
    if (isProbe) {
      this.#probes -= 1;
    } else {
      count(stream, tunnel.traffic);
      count(stream, this.#sums);
    }
    this.#limits.leave(visitor.entered);
    if (unread !== undefined) this.#unread.delete(unread);
    if (watched !== undefined) this.#watch.delete(watched);
    if (ofTunnel !== undefined) this.#ofTunnel.get(tunnel)?.delete(ofTunnel);
    this.#open -= 1;
    this.#onCount?.();
    this.#idleBytes -= visitor.idleBytes;
    if (this.#open === 0) this.#idle.happen();
  };

  *#all(): Generator<OpenVisitor> {
    for (const {visitor} of this.#watch.all()) yield visitor as OpenVisitor;
  }

  /** The tunnel has other rules now: its visitors that they do not admit are reset. */
  recheck(tunnel: Tunnel): void {
    for (const visitor of [...this.#visitorsOf(tunnel)])
      if (tunnel.addresses?.admits(visitor.peer.address) === false) visitor.cut('CANCELLED');
  }

  #visitorsOf(tunnel: Tunnel): LinkedList<OpenVisitor> {
    let visitors = this.#ofTunnel.get(tunnel);
    if (visitors === undefined) {
      visitors = new LinkedList();
      this.#ofTunnel.set(tunnel, visitors);
    }
    return visitors;
  }

  /** The rights of principals may have changed: visitors of tunnels that they do not allow any more are reset. */
  recheckRights(): void {
    for (const {visitor} of [...this.#watch.all()]) {
      const {tunnel} = visitor as OpenVisitor;
      if (!allowsKey(tunnel.principal.rights, tunnel)) visitor.cut('NOT_ALLOWED');
    }
  }

  /** The cheap refusals come first. */
  #enter(tunnel: Tunnel, peer: Peer, isProbe: boolean) {
    if (!this.admits(tunnel, peer) || this.#unread.full) return undefined;
    const entered = this.#limits.enter(tunnel, peer, isProbe);
    if (entered === undefined || this.#hasRoom(peer)) return entered;
    this.#limits.leave(entered);
    return undefined;
  }

  /** Bytes of TLS after the handshake are a goodbye, which a program that checks only the handshake sends as well. */
  #watchEnd({raw}: Visitor, stream: Stream, onLeftAtOnce: () => void): () => void {
    const since = this.#clock.now();
    const {bytesRead} = raw;
    return () => {
      const isSilent = stream.bytesIn === 0 && stream.bytesOut === 0 && raw.bytesRead === bytesRead;
      const isFirst = stream.state === 'open' || stream.state === 'opening';
      if (isSilent && isFirst && this.#clock.now() - since < AT_ONCE_MS) onLeftAtOnce();
    };
  }
}

const firstRefused = (address: string): string =>
  `A visitor from ${address} was refused because of its address; later ones are not reported.`;

/** The stream is seen from the relay: it sends what the visitor sends. */
function count({bytesIn, bytesOut}: Pick<Stream, 'bytesIn' | 'bytesOut'>, sum: TunnelTraffic): void {
  sum.bytesIn += bytesOut;
  sum.bytesOut += bytesIn;
}

function openStream(tunnel: Tunnel, {peer, via, alpn}: Visitor) {
  const {session} = tunnel;
  if (tunnel.draining || session.ended) return undefined;
  if (session.link === undefined && session.waitingCount >= MAX_WAITING) return undefined;
  const about: VisitorOpen = {
    tunnel: tunnel.id,
    via,
    address: peer.address,
    port: peer.port,
    alpn,
  };
  return session.open(KIND.visitor, about);
}
