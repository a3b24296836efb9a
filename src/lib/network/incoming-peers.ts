// The connections of other members to this one: each proves its key first, then its session begins or goes on.

import type {Duplex} from 'node:stream';
import type {TLSSocket} from 'node:tls';
import {SocketReads} from '../bytes/socket-reads.js';
import {MAX_RECORD_BYTES} from '../carrier/encrypted-carrier.js';
import {TunlError, toTunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import {SharedPlaces} from '../core/shared-places.js';
import type {Stream} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';
import {movedOut, type Outstanding, sumOf} from '../seal/last-bytes.js';
import {type AcceptConnection, joinConnection, type MemberId} from './connections.js';
import {Echoes} from './echoes.js';
import {type TakeFlow, takesNoFlow} from './incoming-datagrams.js';
import {readJsonLine, writeLine} from './line-of.js';
import type {MemberKey} from './member-key.js';
import {secureMember} from './member-tls.js';
import {ECHO_PORT, type PeerHello, readHello} from './peer-messages.js';
import {type PeerPath, PeerSession, type SharedByPeers} from './peer-session.js';

export interface IncomingOptions {
  readonly shared: SharedByPeers;
  readonly key: MemberKey;
  readonly log: Logger;
  /** This member's own address. */
  readonly address: () => string;
  /** The member with this raw key; undefined: it is none. A roster may be on its way. */
  readonly memberOf: (raw: Buffer) => Promise<MemberId | undefined>;
  /** The member with this address in the newest roster. */
  readonly current: (address: string) => MemberId | undefined;
  readonly accept: AcceptConnection;
  /** Default: this member takes none. */
  readonly takeFlow?: TakeFlow | undefined;
}

/** Handshakes under way: those of one other member, or of one door, and of all. */
const MOST_PENDING_OF_ONE = 64;
const MOST_PENDING = 256;
/** One read, with the headers of the session in front of it, is one record. */
const READ_BYTES = MAX_RECORD_BYTES - 64;
/** Sessions of one other member, and of all. */
const MOST_OF_ONE = 16;
const MOST_SESSIONS = 1_024;
const HELLO_MS = 10_000;
/** How long the answer may take to leave, ms. */
const ANSWER_MS = 10_000;
/** A member that is refused has this long to read why, ms. */
const REFUSED_MS = 2_000;

interface Incoming {
  readonly from: MemberId;
  readonly session: PeerSession;
}

export class IncomingPeers {
  readonly #options: IncomingOptions;
  /** By the address of the other member and the number of the session. */
  readonly #sessions = new Map<string, Incoming>();
  /** A member that was killed leaves sessions behind: the oldest of them makes room. */
  readonly #places: SharedPlaces<Incoming>;
  /** By the member that the relay names, or by the door. */
  readonly #pending: SharedPlaces<Duplex>;
  readonly #reads: SocketReads;
  /** Connections of all members. Those of a session count with it. */
  readonly #joined = new Map<Stream, 'plain' | 'session'>();
  /** Bytes of connections that are over. */
  #moved = 0;
  readonly #echoes = new Echoes();
  #closed = false;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#reads = new SocketReads(options.shared.pool, READ_BYTES);
    this.#places = new SharedPlaces({
      most: MOST_SESSIONS,
      mostOfOne: MOST_OF_ONE,
      isIdle: ({session}) => session.connections === 0,
      onLost: ({session}) => void session.close(),
    });
    this.#pending = new SharedPlaces({
      most: MOST_PENDING,
      mostOfOne: MOST_PENDING_OF_ONE,
      onLost: (duplex) => void duplex.destroy(),
    });
  }

  /** One connection without TLS between the members. */
  takePlain(stream: Stream, from: MemberId, port: number): void {
    this.#join(stream, 'plain', {from, port});
  }

  #join(stream: Stream, way: 'plain' | 'session', about: {from: MemberId; port: number}): void {
    this.#joined.set(stream, way);
    const onDone = () => {
      this.#joined.delete(stream);
      this.#moved += movedOut(stream);
    };
    joinConnection(stream, {...about, accept: this.#options.accept, reads: this.#reads, onDone});
  }

  /** @param claimed the address that the relay gives */
  isFull(claimed: string): boolean {
    return this.#closed || !this.#pending.hasPlaceFor(claimed);
  }

  /**
   * Takes over a connection of somebody who may be a member. Never rejects.
   *
   * @param claimed the address that the relay gives; undefined: anybody can have come
   */
  async take(duplex: Duplex, path: PeerPath, claimed?: string): Promise<void> {
    const owner = claimed ?? path;
    if (this.#closed || !this.#pending.enter(owner, duplex))
      return void duplex.on('error', () => {}).destroy();
    try {
      await this.#take(duplex, path, claimed);
    } catch (error) {
      duplex.on('error', () => {}).destroy();
      const {code, message} = toTunlError(error);
      this.#options.log.debug('a member did not come in', {path, code, reason: message});
    } finally {
      this.#pending.leave(owner, duplex);
    }
  }

  async #take(duplex: Duplex, path: PeerPath, claimed: string | undefined): Promise<void> {
    const {key, memberOf, current, address} = this.#options;
    let from: MemberId | undefined;
    const accepts = async (raw: Buffer) => {
      from = await memberOf(raw);
      return from !== undefined && (claimed === undefined || claimed === from.address);
    };
    const {socket, begin} = await secureMember(duplex, {key, isAcceptor: true, accepts});
    try {
      const hello = readHello(await readJsonLine(socket, HELLO_MS));
      // The roster may have changed since its key was checked.
      const isMember = from !== undefined && current(from.address) !== undefined;
      if (from === undefined || !isMember || hello.to !== address() || this.#closed)
        throw new TunlError('NOT_ALLOWED');
      const found = this.#find(from, hello);
      if (found === undefined) {
        refuse(socket, {code: 'NOT_ALLOWED', message: 'The session is not known any more.'});
        return;
      }
      const told = found.isNew ? undefined : found.session.offer();
      try {
        await writeLine(socket, {received: told ?? 0}, ANSWER_MS);
        found.session.attach(begin(this.#options.shared), path, {told, has: hello.received});
      } finally {
        if (told !== undefined) found.session.settle();
      }
    } catch (error) {
      socket.on('error', () => {}).destroy();
      throw error;
    }
  }

  #find(
    from: MemberId,
    {session: id, resumes}: PeerHello,
  ): {session: PeerSession; isNew: boolean} | undefined {
    const place = `${from.address} ${id}`;
    const known = this.#sessions.get(place);
    if (known !== undefined) return resumes ? {session: known.session, isNew: false} : undefined;
    if (resumes) return undefined;
    const {shared, current, takeFlow = takesNoFlow} = this.#options;
    // A key may have another name than at the start of its session. One that has left loses the session soon.
    const now = () => current(from.address) ?? from;
    const session = new PeerSession({
      ...shared,
      id,
      isDialler: false,
      onConnection: (stream, port) => this.#join(stream, 'session', {from: now(), port}),
      onFlow: (stream, ports) => {
        if (ports.port === ECHO_PORT) this.#echoes.take(stream, from);
        else takeFlow(stream, now(), ports);
      },
      onDetached: () => {},
      onEnded: () => {
        this.#sessions.delete(place);
        this.#places.leave(from.address, incoming);
      },
    });
    const incoming = {from, session};
    if (!this.#places.enter(from.address, incoming)) {
      void session.close();
      return undefined;
    }
    this.#sessions.set(place, incoming);
    return {session, isNew: true};
  }

  get outstanding(): Outstanding {
    const sessions = [...this.#sessions.values()].map(({session: {connections, queuedBytes}}) => ({
      ...{connections, bytes: queuedBytes, moved: 0},
    }));
    const joined = [...this.#joined].map(([stream, way]) => ({
      ...{connections: way === 'plain' ? 1 : 0, bytes: 0, moved: movedOut(stream)},
    }));
    return sumOf([...sessions, ...joined, {connections: 0, bytes: 0, moved: this.#moved}]);
  }

  /** Ends the sessions of members for which this is false. */
  keepOnly(isMember: (address: string) => boolean): void {
    for (const {from, session} of [...this.#sessions.values()])
      if (!isMember(from.address)) void session.close();
  }

  /** Resolves when the other members have been told. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#sessions.values()].map(({session}) => session.close()));
  }
}

/** The socket has no other owner from now on, so it ends here, also when the member keeps it open. */
function refuse(socket: TLSSocket, answer: {code: StreamCode; message: string}): void {
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS).unref();
  socket.on('error', () => {});
  socket.once('close', () => clearTimeout(timer));
  socket.resume();
  socket.end(`${JSON.stringify(answer)}\n`);
}
