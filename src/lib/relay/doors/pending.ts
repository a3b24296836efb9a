// Connections without rights: no visitor of a tunnel yet, and no agent with a session yet. This file limits their time, their
// number, and the cost of each source.

import type {Socket} from 'node:net';
import type {Clock} from '../../core/clock.js';
import type {Blocks} from '../access/blocked.js';
import type {RelayEvents} from '../events.js';
import {Counts} from '../limits/counts.js';
import type {Part} from '../part.js';
import {BySource} from './by-source.js';
import type {Load} from './load.js';
import {type Peer, peerOf} from './peer.js';
import {BARE_BYTES, PendingConnection} from './pending-connection.js';
import {RepeatLog} from './repeat-log.js';
import type {Room} from './room.js';
import {TokenBuckets} from './token-buckets.js';
import {TokenChecks} from './token-checks.js';
import type {TrustCheck} from './trusted.js';

/** Limit for a whole ClientHello, ms. Honest clients send it at once. Even a busy relay ends the connection within 5 s. */
const HELLO_MS = 4_000;

/** Limit for all of them together: 2,000 in their handshakes, or 32,000 that have sent nothing. */
export const MOST_PENDING_BYTES = 128 * 1024 * 1024;

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
/**
 * Refused tokens with one id, from all sources. Beyond this number only sources with an agent may try this id for a while: a
 * secret cannot be guessed, and its owner must not be locked out where its agents run.
 */
const LOGINS_OF_ID = {burst: 50, perSecond: 1};
/** A source with an agent within this time, ms, may cost ten times as much at the relay's own name. */
const PROVEN_MS = 600_000;
const PROVEN_SHARE = 0.1;
const MOST_PROVEN = 16_384;

/** The limits of a source for which something is spent: that of a step, or of refused tokens. */
export type Limit = Step | 'login' | 'token';

/** Other processes of this relay, which have the same counts. */
export interface SharedLimits {
  spent(limit: Limit, source: string, cost: number): void;
  proved(source: string): void;
  /** Takes over the report about this address. Absent: this process reports by itself. */
  noted?(what: Noted, address: string): void;
}

/**
 * Reported with a count: a refused token, a connection that was refused because too many others had failed, or one from an
 * address that is blocked.
 */
export type Noted = 'refused' | 'turnedAway' | 'blocked';

export interface PendingOptions {
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  load: Pick<Load, 'add'>;
  isTrusted: TrustCheck;
  room: Pick<Room, 'noneForConnections' | 'refused'>;
  /** Default: nothing is blocked. */
  blocks?: Pick<Blocks, 'hasAddress'>;
  /** Default MOST_PENDING_BYTES. */
  mostBytes?: number;
  /** The TLS handshakes that an address may have in flight. Default: as many as it likes. */
  mostHandshakes?: (peer: Peer) => number;
  /** An address has reached that number. */
  onHandshakesRefused?: (peer: Peer) => void;
  /** Are told what is spent here. Default: there are none. */
  others?: SharedLimits | undefined;
}

export class PendingConnections implements Part {
  readonly clock: Clock;
  readonly #options: PendingOptions;
  readonly #sources: BySource<PendingConnection>;
  readonly #buckets: Readonly<Record<Limit, TokenBuckets>>;
  /** The time of the last session of each source. */
  readonly #proven = new Map<string, number>();
  readonly #reports: Readonly<Record<Noted, RepeatLog>>;
  readonly #checks = new TokenChecks();
  /** TLS handshakes in flight, by source. */
  readonly #handshakes = new Counts();
  #bytes = 0;
  #count = 0;

  constructor(options: PendingOptions) {
    const {clock, events, load} = options;
    this.#options = options;
    this.clock = clock;
    this.#sources = new BySource(clock);
    const buckets = (limit: {burst: number; perSecond: number}) => new TokenBuckets({...limit, clock});
    this.#buckets = {
      hello: buckets(STEPS.hello),
      visitor: buckets(STEPS.visitor),
      own: buckets(STEPS.own),
      login: buckets(LOGINS),
      token: buckets(LOGINS_OF_ID),
    };
    this.#reports = {
      refused: new RepeatLog({clock, write: (line) => events.emit({type: 'token-refused', ...line})}),
      turnedAway: new RepeatLog({
        clock,
        write: (line) => events.emit({type: 'turned-away', because: 'failures', ...line}),
      }),
      blocked: new RepeatLog({
        clock,
        write: (line) => events.emit({type: 'turned-away', because: 'blocked', ...line}),
      }),
    };
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
    if (peer === undefined || this.isBlocked(peer) || !this.mayTake(peer, 'hello')) return refuse(raw);
    return this.#take(raw, peer, helloMs, 0);
  }

  /**
   * Takes a connection that another process of this relay has accepted, and whose ClientHello it has read. Undefined: the
   * connection was ended.
   *
   * @param ageMs the time since the accept.
   */
  adopt(raw: Socket, peer: Peer, ageMs: number): PendingConnection | undefined {
    // Its address may have been blocked while it was on its way.
    if (this.isBlocked(peer)) return refuse(raw);
    const connection = this.#take(raw, peer, HELLO_MS, ageMs);
    connection?.named();
    return connection;
  }

  #take(raw: Socket, peer: Peer, helloMs: number, ageMs: number): PendingConnection | undefined {
    const {room} = this.#options;
    while (room.noneForConnections && this.endOne());
    if (room.noneForConnections) {
      room.refused(peer);
      return refuse(raw);
    }
    const connection = new PendingConnection(this, raw, peer, {helloMs, ageMs});
    connection.node = this.#sources.add(peer.source, connection, 0);
    this.#count += 1;
    this.resize(connection, BARE_BYTES);
    return connection.over ? undefined : connection;
  }

  /** The operator has blocked the address of this connection. It is counted. */
  isBlocked({address}: Peer): boolean {
    const isBlocked = this.#options.blocks?.hasAddress(address) ?? false;
    if (isBlocked) this.#note('blocked', address);
    return isBlocked;
  }

  /** The list of what is blocked has changed: a connection that was admitted before must not get rights any more. */
  endBlocked(): void {
    for (const connection of [...this.#sources.members()])
      if (this.isBlocked(connection.peer)) connection.end();
  }

  /** Ends the oldest connection of the source that holds the most. Returns false when there is none. */
  endOne(): boolean {
    const oldest = this.#sources.heaviest()?.members.first;
    oldest?.end();
    return oldest !== undefined;
  }

  /** Another process of this relay has spent this. */
  spentElsewhere(limit: Limit, source: string, cost: number): void {
    this.#buckets[limit].spend(source, cost);
  }

  /** Another process of this relay leaves the report to this one. */
  noteElsewhere(what: Noted, address: string): void {
    this.#reports[what].note(address);
  }

  /** An agent has come from this source to another process of this relay. */
  provedElsewhere(source: string): void {
    this.#proven.delete(source);
    this.#proven.set(source, this.clock.now());
    const [first] = this.#proven.keys();
    if (this.#proven.size > MOST_PROVEN && first !== undefined) this.#proven.delete(first);
  }

  close(): void {
    for (const connection of [...this.#sources.members()]) connection.end();
    this.#reports.refused.close();
    this.#reports.turnedAway.close();
    this.#reports.blocked.close();
  }

  // ── For PendingConnection ──

  mayTake({source, address}: Peer, step: Step): boolean {
    if (this.#buckets[step].has(source) || this.#options.isTrusted(address)) return true;
    this.#note('turnedAway', address);
    return false;
  }

  /** A TLS handshake begins. False: too many of its source have begun and not ended. */
  beginHandshake({peer}: PendingConnection): boolean {
    const {mostHandshakes, onHandshakesRefused} = this.#options;
    if (mostHandshakes !== undefined && this.#handshakes.of(peer.source) >= mostHandshakes(peer)) {
      onHandshakesRefused?.(peer);
      return false;
    }
    this.#handshakes.add(peer.source, 1);
    return true;
  }

  /** @param id the id in the token. */
  mayLogIn({source, address}: Peer, id: string | undefined): boolean {
    if (this.#options.isTrusted(address)) return true;
    const isFree = id === undefined || this.#buckets.token.has(id) || this.#isProven(source);
    return isFree && this.#buckets.login.has(source);
  }

  loginWaitMs({source}: Peer, id: string | undefined): number {
    const {login, token} = this.#buckets;
    return Math.max(login.waitMs(source), id === undefined ? 0 : token.waitMs(id));
  }

  loginFailed({source, address}: Peer, id: string | undefined, isUnknown = true): void {
    this.#spend('login', source, 1);
    if (id !== undefined) this.#spend('token', id, 1);
    if (isUnknown) this.#note('refused', address);
  }

  beginCheck({source, address}: Peer): (() => void) | undefined {
    return this.#checks.begin(source, this.#options.isTrusted(address));
  }

  /** An agent has come from this source. */
  proved({source}: Peer): void {
    this.provedElsewhere(source);
    this.#options.others?.proved(source);
  }

  resize(connection: PendingConnection, bytes: number): void {
    const more = bytes - connection.bytes;
    connection.bytes = bytes;
    this.#bytes += more;
    this.#sources.resize(connection.peer.source, more);
    const most = this.#options.mostBytes ?? MOST_PENDING_BYTES;
    if (more > 0) while (this.#bytes > most && this.endOne());
  }

  /** @param failed the connection ended before it had rights. */
  remove(connection: PendingConnection, failed: boolean): void {
    const {peer, step} = connection;
    if (connection.node !== undefined) this.#sources.delete(peer.source, connection.node, connection.bytes);
    this.#bytes -= connection.bytes;
    connection.bytes = 0;
    this.#count -= 1;
    if (step !== 'hello') this.#handshakes.add(peer.source, -1);
    if (!failed) return;
    if (step === 'own') this.missed(peer);
    else this.#spend(step, peer.source, 1);
  }

  missed({source}: Peer): void {
    this.#spend('own', source, this.#isProven(source) ? PROVEN_SHARE : 1);
  }

  #isProven(source: string): boolean {
    const provenAt = this.#proven.get(source);
    return provenAt !== undefined && this.clock.now() - provenAt < PROVEN_MS;
  }

  #note(what: Noted, address: string): void {
    const {others} = this.#options;
    if (others?.noted === undefined) this.#reports[what].note(address);
    else others.noted(what, address);
  }

  #spend(limit: Limit, source: string, cost: number): void {
    this.#buckets[limit].spend(source, cost);
    this.#options.others?.spent(limit, source, cost);
  }
}

const ignore = (): void => {};

function refuse(raw: Socket): undefined {
  raw.on('error', ignore);
  raw.resetAndDestroy();
}
