// `joinNetwork`: this process as a member of a private network. It finds the other members in the relay's roster, connects to
// them, and answers them.

import type {Socket} from 'node:net';
import {totalmem} from 'node:os';
import type {Duplex} from 'node:stream';
import {defaultUnreadLimit, UnreadLimit} from '../bytes/unread-limit.js';
import {atMost, type Clock, systemClock} from '../core/clock.js';
import {errorForPeer, TunlError} from '../core/errors.js';
import {createLogger, type Logger} from '../core/logger.js';
import {BlockPool} from '../mux/blocks.js';
import type {Stream} from '../mux/stream.js';
import {WindowBudget} from '../mux/window-budget.js';
import {plainAddress} from '../net/host-name.js';
import type {Fields} from '../protocol/fields.js';
import {
  isStateSmall,
  memberAddress,
  NETWORK_LIMITS,
  type NetworkName,
  type NetworkScope,
  type RosterMember,
} from '../protocol/network-messages.js';
import {type Outstanding, sumOf} from '../seal/last-bytes.js';
import {type AcceptConnection, type MemberId, openedConnection, splicedConnection} from './connections.js';
import {type Doors, openDoors} from './doors.js';
import {IncomingPeers} from './incoming-peers.js';
import {JoinLoop} from './join-loop.js';
import type {ConnectTo, FlowTo, JoinOptions, Membership} from './join-options.js';
import {KnownPeers} from './known-peers.js';
import type {Member} from './member.js';
import {ephemeralMemberKey, loadMemberKey, type MemberKey} from './member-key.js';
import {checkNames, relayNameOf} from './network-names.js';
import {OutgoingPeers, openPlain} from './outgoing-peers.js';
import {Paths} from './paths.js';
import type {SharedByPeers} from './peer-session.js';
import {type Peer, peersOf, stateWith} from './roster.js';

export type {JoinOptions, Membership} from './join-options.js';

/** For the first answer of the relay, ms. */
const JOIN_MS = 15_000;
/** How long a connection waits until this member is in the roster again, ms. */
const JOINED_AGAIN_MS = 10_000;
/** A member that is missing in the roster is cut off after this, ms. */
const MISSING_MS = 2_500;
/** After this member has joined again the others may still be on their way back, ms. */
const MISSING_AFTER_REJOIN_MS = 20_000;
/** A member that comes directly may be quicker than the roster, ms. */
const ROSTER_MS = 2_000;
/** How long the last word to other members may take, ms. */
const LAST_WORD_MS = 500;
const WINDOW_BYTES = 64 * 1024 * 1024;

/**
 * Resolves when the relay has this member in its roster.
 *
 * @throws TunlError NETWORK_INVALID, MEMBER_NAME_USED, NETWORK_FULL, NOT_ALLOWED, STATE_DIR, LISTEN_*, RELAY_LACKS_FEATURE,
 * RELAY_BUSY, RELAY_LEAVING, RELAY_TIMEOUT, ABORTED
 */
export async function joinNetwork(options: JoinOptions): Promise<Membership> {
  const {scope = 'net', network, name, key: where = 'ephemeral', signal} = options;
  checkNames(network, name);
  if (signal?.aborted) throw new TunlError('ABORTED');
  const key =
    where === 'ephemeral'
      ? ephemeralMemberKey()
      : await loadMemberKey(where.stateDir, {scope, network}, name);
  const membership = new OpenMembership({...options, scope}, key);
  await membership.start();
  return membership;
}

class OpenMembership implements Membership {
  readonly scope: NetworkScope;
  readonly network: string;
  readonly name: string;
  readonly ended: Promise<TunlError | undefined>;
  readonly #options: JoinOptions;
  readonly #where: NetworkName;
  readonly #key: MemberKey;
  readonly #relay: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #over = Promise.withResolvers<TunlError | undefined>();
  readonly #first = Promise.withResolvers<void>();
  readonly #incoming: IncomingPeers;
  readonly #outgoing: OutgoingPeers;
  readonly #peers: KnownPeers;
  readonly #listeners = new Set<(members: readonly Member[]) => void>();
  readonly #shared: SharedByPeers;
  readonly #leave: (() => void)[] = [];
  #loop: JoinLoop | undefined;
  #isIn = false;
  /** Members that are missing in the roster stay until then. */
  #spareUntil = 0;
  #app: Fields = {};
  #doors: Doors | undefined;
  #isOver = false;
  /** The other members know that this one has left. */
  #told: Promise<unknown> = Promise.resolve();

  constructor(options: JoinOptions & {scope: NetworkScope}, key: MemberKey) {
    const {link, scope, network, name, clock = systemClock} = options;
    this.#options = options;
    this.scope = scope;
    this.network = network;
    this.name = name;
    this.#where = {scope, network};
    this.#key = key;
    this.#relay = relayNameOf(link);
    this.#clock = clock;
    this.#peers = new KnownPeers(clock);
    this.#log = createLogger('network', options.log);
    this.ended = this.#over.promise;
    this.#first.promise.catch(() => {});
    this.#shared = {
      clock,
      pool: new BlockPool(),
      windows: new WindowBudget(WINDOW_BYTES),
      unread: new UnreadLimit({limitBytes: defaultUnreadLimit(totalmem()), clock, log: this.#log}),
    };
    this.#outgoing = new OutgoingPeers({
      shared: this.#shared,
      paths: new Paths({link, network: this.#where, name, key}),
      peers: this.#peers,
      onChange: () => this.#tell(),
    });
    this.#incoming = new IncomingPeers({
      shared: this.#shared,
      key,
      log: this.#log,
      address: () => this.address,
      memberOf: (raw) => this.#memberOf(raw),
      current: (address) => this.#peers.at(address),
      accept: (...connection) => this.#accept(...connection),
      takeFlow: options.takeFlow,
    });
  }

  /** @throws TunlError */
  async start(): Promise<void> {
    const {link, signal, accept} = this.#options;
    try {
      if (accept !== undefined) {
        this.#doors = await openDoors({...this.#options, incoming: this.#incoming, network: this.#where});
        if (this.#isOver) this.#doors.close();
      }
      void link.ended.then((error) => this.#end(error ?? new TunlError('CLOSED')));
      const abort = () => this.#end(new TunlError('ABORTED'));
      signal?.addEventListener('abort', abort, {once: true});
      this.#leave.push(() => signal?.removeEventListener('abort', abort));
      if (signal?.aborted) abort();
      if (!this.#isOver) this.#loop = this.#newLoop();
      const late = this.#clock.after(JOIN_MS, () => {
        const reason = 'The relay did not let the member in in time.';
        this.#first.reject(this.#loop?.refusal ?? new TunlError('RELAY_TIMEOUT', {reason}));
      });
      await this.#first.promise.finally(() => late.cancel());
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #newLoop(): JoinLoop {
    const {link, accept} = this.#options;
    return new JoinLoop({
      link,
      relay: this.#relay,
      network: this.#where,
      member: {name: this.name, key: this.#key, accepts: accept !== undefined},
      clock: this.#clock,
      log: this.#log,
      state: () => stateWith(this.#app, this.#doors?.hints ?? {}),
      onMembers: (members) => this.#onMembers(members),
      onLost: () => {
        this.#isIn = false;
        this.#spareUntil = this.#clock.now() + MISSING_AFTER_REJOIN_MS;
      },
      onRefused: (error) => this.#end(error),
    });
  }

  get prefix(): string {
    return this.#loop?.joined?.prefix ?? '';
  }

  get address(): string {
    return this.#loop?.joined?.address ?? '';
  }

  get serial(): number {
    return this.#loop?.joined?.serial ?? 0;
  }

  get directPort(): number | undefined {
    return this.#doors?.directPort;
  }

  get joined(): boolean {
    return this.#isIn;
  }

  get members(): readonly Member[] {
    return this.#peers.all.map((peer) => this.#shown(peer));
  }

  onMembers(listener: (members: readonly Member[]) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  setState(state: object): void {
    const whole = stateWith(state as Fields, this.#doors?.hints ?? {});
    if (!isStateSmall(whole)) {
      const reason = `What a member tells the others, with the places where it is found, may have ${NETWORK_LIMITS.stateBytes} bytes of JSON.`;
      throw new TunlError('OPTION_INVALID', {reason});
    }
    this.#app = state as Fields;
    this.#loop?.sendState(whole);
  }

  async connect({to, port, signal}: ConnectTo): Promise<Duplex> {
    return await this.#open({to, port, signal}, (stream) => openedConnection(stream, signal));
  }

  async carry(socket: Socket, {to, port, signal}: ConnectTo): Promise<void> {
    await this.#open({to, port, signal}, (stream) => splicedConnection(stream, socket));
  }

  async openFlow({to, from, port, signal}: FlowTo, onOpen: (stream: Stream) => void): Promise<void> {
    const {address} = await this.#other(to, signal);
    const use = async (stream: Stream) => onOpen(stream);
    await this.#outgoing.open(address, {to: {from, port}, signal, use});
  }

  async #open<T>({to, port, signal}: ConnectTo, use: (stream: Stream) => Promise<T>): Promise<T> {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new TunlError('PORT_RANGE');
    const peer = await this.#other(to, signal);
    const {link, trustRelay} = this.#options;
    if (!trustRelay || !peer.hints.plain)
      return await this.#outgoing.open(peer.address, {to: {port}, signal, use});
    const about = {...this.#where, from: this.name, to: peer.name, port};
    return await openPlain(link, about, {signal, use});
  }

  /** Another member. @throws TunlError MEMBER_UNKNOWN, NOT_ALLOWED, ABORTED, CLOSED */
  async #other(to: string, signal: AbortSignal | undefined): Promise<Peer> {
    if (signal?.aborted) throw new TunlError('ABORTED');
    const peer = await this.#find(to);
    // It may have come during the wait.
    if (signal?.aborted) throw new TunlError('ABORTED');
    if (this.#isOver) throw new TunlError('CLOSED');
    if (peer.address !== this.address) return peer;
    const reason = 'A member does not connect to itself through the network.';
    throw errorForPeer('NOT_ALLOWED', {reason});
  }

  get outstanding(): Outstanding {
    return sumOf([this.#incoming.outstanding, this.#outgoing.outstanding]);
  }

  async close(): Promise<void> {
    this.#end(undefined);
    await atMost(this.#clock, LAST_WORD_MS, this.#told);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #shown({name, address, serial, accepts, state}: Peer): Member {
    const {path: seen, rttMs} = this.#outgoing.seenOf(address);
    const path = address === this.address ? 'self' : (seen ?? 'relay');
    return {name, address, serial, accepts, state, path, ...(rttMs !== undefined && {rttMs})};
  }

  #tell(): void {
    if (this.#isOver) return;
    const {members} = this;
    for (const listener of [...this.#listeners]) listener(members);
  }

  #onMembers(members: readonly RosterMember[]): void {
    const {peers, forged} = peersOf(members, (key) => memberAddress(this.#relay, this.#where, key));
    for (const name of forged)
      this.#log.warn('the relay has given a member an address that its key does not have', {name});
    this.#isIn = peers.some(({address}) => address === this.address);
    this.#peers.set(peers);
    if (this.#isIn) this.#first.resolve();
    // Members that the relay has removed lose their connections here as well, whatever path they take.
    const waitMs = Math.max(MISSING_MS, this.#spareUntil - this.#clock.now());
    this.#clock.after(waitMs, () => this.#cutMissing());
    this.#tell();
  }

  #cutMissing(): void {
    if (this.#isOver || !this.#isIn || this.#clock.now() < this.#spareUntil) return;
    const isMember = (address: string) => this.#peers.at(address) !== undefined;
    this.#incoming.keepOnly(isMember);
    this.#outgoing.keepOnly(isMember);
  }

  /** @throws TunlError MEMBER_UNKNOWN */
  async #find(to: string): Promise<Peer> {
    const written = to.toLowerCase().replace(/^\[(.*)\]$/, '$1');
    // The addresses of members have one spelling.
    const wanted = plainAddress(written) ?? written;
    const look = () => this.#peers.all.find(({name, address}) => name === wanted || address === wanted);
    // A roster from before a lost membership is better than none: the member may be reached without the relay.
    const peer = look() ?? (this.#isIn ? undefined : await this.#peers.when(JOINED_AGAIN_MS, look));
    if (peer !== undefined) return peer;
    if (this.#isOver) throw new TunlError('CLOSED');
    throw errorForPeer('MEMBER_UNKNOWN', {reason: `The network ${this.network} has no member ${wanted}.`});
  }

  async #memberOf(raw: Buffer): Promise<MemberId | undefined> {
    return await this.#peers.when(ROSTER_MS, () => this.#peers.all.find(({key}) => key.equals(raw)));
  }

  async #accept(...connection: Parameters<AcceptConnection>): Promise<Duplex> {
    const {accept} = this.#options;
    if (accept === undefined || this.#isOver) throw new TunlError('NOT_ALLOWED');
    return await accept(...connection);
  }

  #end(error: TunlError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isIn = false;
    this.#first.reject(error ?? new TunlError('CLOSED'));
    this.#loop?.close();
    for (const leave of this.#leave) leave();
    this.#told = Promise.all([this.#incoming.close(), this.#outgoing.close()]);
    void atMost(this.#clock, LAST_WORD_MS, this.#told).then(() => this.#doors?.close());
    this.#shared.unread.close();
    this.#peers.close();
    this.#over.resolve(error);
  }
}
