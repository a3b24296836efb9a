// Connections without rights: no visitor of a tunnel yet, and no agent with a session yet. This file limits their time, their
// number, and the cost of each source.

import type {Socket} from 'node:net';
import {letGo} from '../../bytes/let-go.js';
import {resetSocket} from '../../bytes/reset.js';
import type {Clock, Timer} from '../../core/clock.js';
import type {ListNode} from '../../core/linked-list.js';
import type {RelayEvents} from '../events.js';
import type {Part} from '../part.js';
import {BySource} from './by-source.js';
import type {Load} from './load.js';
import {type Peer, peerOf} from './peer.js';
import {RepeatLog} from './repeat-log.js';
import type {Room} from './room.js';
import {TokenBuckets} from './token-buckets.js';
import type {TrustCheck} from './trusted.js';

/** Limit for a whole ClientHello, ms. Honest clients send it at once. Even a busy relay ends the connection within 5 s. */
const HELLO_MS = 4_000;
/** Limit from the accept to a session, a tunnel or an answer, ms. */
const WHOLE_MS = 10_000;
/** Limit for the handshake of a visitor that waited for its tunnel, ms. */
const AFTER_WAIT_MS = 5_000;

/** The memory of a connection while its ClientHello is read, and after TLS has begun: measured, rounded up. */
const BARE_BYTES = 4 * 1024;
/** Buffers grow by doubling, and their old memory is garbage for a while. */
const BUFFER_FACTOR = 4;
const TLS_BYTES = 64 * 1024;
/** Limit for all of them together: 2,000 in their handshakes, or 32,000 that have sent nothing. */
const MOST_BYTES = 128 * 1024 * 1024;

/**
 * The step that a connection has reached, and the cost to its source when it ends there: the first bytes (not TLS, no name of
 * this relay, silence), the handshake for a tunnel's name, the relay's own name (handshake, page, refused upgrade, no hello).
 * The burst is the number of mistakes that many honest people behind one address may make at once.
 */
const STEPS = {
  hello: {burst: 2_000, perSecond: 500},
  visitor: {burst: 500, perSecond: 50},
  own: {burst: 100, perSecond: 10},
} as const;
export type Step = keyof typeof STEPS;

/** Refused tokens of one source. Beyond this number its tokens are not checked for a while. */
const LOGINS = {burst: 20, perSecond: 0.5};
/** A source with an agent within this time, ms, may cost ten times as much at the relay's own name. */
const PROVEN_MS = 600_000;
const PROVEN_SHARE = 0.1;
const MOST_PROVEN = 16_384;

const ignore = (): void => {};

export interface PendingOptions {
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  load: Pick<Load, 'add'>;
  isTrusted: TrustCheck;
  room: Pick<Room, 'noneForConnections' | 'refused'>;
  mostBytes?: number;
}

export class PendingConnections implements Part {
  readonly clock: Clock;
  readonly #options: PendingOptions;
  readonly #sources: BySource<PendingConnection>;
  readonly #buckets: Readonly<Record<Step, TokenBuckets>>;
  readonly #logins: TokenBuckets;
  /** The time of the last session of each source. */
  readonly #proven = new Map<string, number>();
  readonly #refused: RepeatLog;
  readonly #turnedAway: RepeatLog;
  #bytes = 0;
  #count = 0;

  constructor(options: PendingOptions) {
    const {clock, events, load} = options;
    this.#options = options;
    this.clock = clock;
    this.#sources = new BySource(clock);
    const buckets = (step: Step) => new TokenBuckets({...STEPS[step], clock});
    this.#buckets = {hello: buckets('hello'), visitor: buckets('visitor'), own: buckets('own')};
    this.#logins = new TokenBuckets({...LOGINS, clock});
    this.#refused = new RepeatLog({clock, write: (line) => events.emit({type: 'token-refused', ...line})});
    this.#turnedAway = new RepeatLog({
      clock,
      write: (line) => events.emit({type: 'turned-away', because: 'failures', ...line}),
    });
    load.add({connections: () => this.#count});
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes a connection that was just accepted. Undefined: the connection was ended.
   *
   * @param helloMs limit for its ClientHello.
   */
  admit(raw: Socket, helloMs = HELLO_MS): PendingConnection | undefined {
    const peer = peerOf(raw);
    if (peer === undefined || !this.mayTake(peer, 'hello')) {
      raw.on('error', ignore);
      raw.resetAndDestroy();
      return undefined;
    }
    const {room} = this.#options;
    while (room.noneForConnections && this.endOne());
    if (room.noneForConnections) {
      room.refused(peer);
      raw.on('error', ignore);
      raw.resetAndDestroy();
      return undefined;
    }
    const connection = new PendingConnection(this, raw, peer, helloMs);
    connection.node = this.#sources.add(peer.source, connection, 0);
    this.#count += 1;
    this.resize(connection, BARE_BYTES);
    return connection.over ? undefined : connection;
  }

  /** Ends the oldest connection of the source that holds the most. Returns false when there is none. */
  endOne(): boolean {
    const oldest = this.#sources.heaviest()?.members.first;
    oldest?.end();
    return oldest !== undefined;
  }

  close(): void {
    for (const connection of [...this.#sources.members()]) connection.end();
    this.#refused.close();
    this.#turnedAway.close();
  }

  // ── For PendingConnection ──

  mayTake({source, address}: Peer, step: Step): boolean {
    if (this.#buckets[step].has(source) || this.#options.isTrusted(address)) return true;
    this.#turnedAway.note(address);
    return false;
  }

  mayLogIn({source, address}: Peer): boolean {
    return this.#logins.has(source) || this.#options.isTrusted(address);
  }

  loginWaitMs({source}: Peer): number {
    return this.#logins.waitMs(source);
  }

  loginFailed({source, address}: Peer): void {
    this.#logins.spend(source);
    this.#refused.note(address);
  }

  /** An agent has come from this source. */
  proved({source}: Peer): void {
    this.#proven.delete(source);
    this.#proven.set(source, this.clock.now());
    const [first] = this.#proven.keys();
    if (this.#proven.size > MOST_PROVEN && first !== undefined) this.#proven.delete(first);
  }

  resize(connection: PendingConnection, bytes: number): void {
    const more = bytes - connection.bytes;
    connection.bytes = bytes;
    this.#bytes += more;
    this.#sources.resize(connection.peer.source, more);
    const most = this.#options.mostBytes ?? MOST_BYTES;
    if (more > 0) while (this.#bytes > most && this.endOne());
  }

  /** @param failed the connection ended before it had rights. */
  remove(connection: PendingConnection, failed: boolean): void {
    const {peer, step} = connection;
    if (connection.node !== undefined) this.#sources.delete(peer.source, connection.node, connection.bytes);
    this.#bytes -= connection.bytes;
    connection.bytes = 0;
    this.#count -= 1;
    if (!failed) return;
    const provenAt = step === 'own' ? this.#proven.get(peer.source) : undefined;
    const proven = provenAt !== undefined && this.clock.now() - provenAt < PROVEN_MS;
    this.#buckets[step].spend(peer.source, proven ? PROVEN_SHARE : 1);
  }
}

/** One such connection, from the accept until it has rights or is gone. */
export class PendingConnection {
  readonly peer: Peer;
  readonly raw: Socket;
  /** The TLS socket on top of it, from its handshake on. */
  secure: Socket | undefined;
  step: Step = 'hello';
  #next: Step = 'hello';
  #known = false;
  bytes = 0;
  /** Its place among the connections of its source. */
  node: ListNode<PendingConnection> | undefined;
  /** Holds the bytes of its ClientHello. They are released at once when it ends, because `close` comes later. */
  hello: {release(): void} | undefined;
  readonly #all: PendingConnections;
  readonly #since: number;
  /** Its deadline, ms after the accept. */
  #mostMs: number;
  #timer: Timer;
  #over = false;
  #cut = false;

  constructor(all: PendingConnections, raw: Socket, peer: Peer, helloMs: number) {
    this.#all = all;
    this.raw = raw;
    this.peer = peer;
    this.#since = all.clock.now();
    this.#mostMs = helloMs;
    this.#timer = all.clock.after(helloMs, this.#onTime);
    raw.on('error', ignore);
    raw.on('close', this.#onClose);
    raw.on('close', letGo);
  }

  /** True when it has rights or is gone. */
  get over(): boolean {
    return this.#over;
  }

  /** True when the relay has reset it. */
  get cut(): boolean {
    return this.#cut;
  }

  /** Sets the number of kept bytes of its ClientHello. */
  holds(bytes: number): void {
    if (!this.#over) this.#all.resize(this, BARE_BYTES + BUFFER_FACTOR * bytes);
  }

  /** Its ClientHello is complete. */
  named(): void {
    this.#mostMs = Math.max(WHOLE_MS, this.#mostMs);
  }

  /** A TLS handshake comes next. Returns false, and ends the connection, when too many handshakes of its source have failed. */
  secures(step: 'visitor' | 'own'): boolean {
    if (!this.#mayGoOn(step)) return false;
    this.#next = step;
    this.#mostMs = Math.max(WHOLE_MS, this.#all.clock.now() - this.#since + AFTER_WAIT_MS);
    return true;
  }

  /** The turn of its handshake has come. Returns false when it has ended meanwhile, or when its source has no tokens left. */
  mayBegin(): boolean {
    if (!this.#mayGoOn(this.#next)) return false;
    this.step = this.#next;
    this.#all.resize(this, TLS_BYTES);
    return !this.over;
  }

  #mayGoOn(step: Step): boolean {
    if (!this.#over && !this.#all.mayTake(this.peer, step)) this.end();
    return !this.over;
  }

  get mayLogIn(): boolean {
    return this.#all.mayLogIn(this.peer);
  }

  /** Time until the next token of this source is checked, ms. */
  get loginWaitMs(): number {
    return this.#all.loginWaitMs(this.peer);
  }

  loginFailed(): void {
    this.#all.loginFailed(this.peer);
  }

  /** It has shown its owner. Its deadline stays, but its source is no longer charged. */
  recognise(): void {
    if (this.#over) return;
    this.#known = true;
    this.#all.proved(this.peer);
  }

  /** It has rights now, so these limits no longer apply. */
  enter(): void {
    this.#leave(false);
  }

  /** Resets the connection. */
  end(): void {
    if (this.#over) return;
    this.#cut = true;
    this.#leave(true);
    resetSocket(this.secure ?? this.raw, this.raw);
  }

  readonly #onClose = (): void => this.#leave(true);

  #leave(failed: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.raw.off('close', this.#onClose);
    this.#all.remove(this, failed && !this.#known);
    this.hello?.release();
    this.hello = undefined;
  }

  /** One timer is enough, because nearly all connections end before it fires. It is set again only when the deadline was moved. */
  readonly #onTime = (): void => {
    const {clock} = this.#all;
    const leftMs = this.#since + this.#mostMs - clock.now();
    if (leftMs > 0) this.#timer = clock.after(leftMs, this.#onTime);
    else this.end();
  };
}
