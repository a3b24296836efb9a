// The connections from this member to one other: the session for them, and the way that it takes.

import {atMost, type Clock, pause, type Timer} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {randomBytes} from '../core/node-crypto.js';
import type {Stream} from '../mux/stream.js';
import type {Outstanding} from '../seal/last-bytes.js';
import {refusal} from './connections.js';
import {readJsonLine} from './line-of.js';
import {isBetter, type Paths, type Way} from './paths.js';
import {readAnswer, SESSION_DIGITS} from './peer-messages.js';
import {type PeerOpen, type PeerPath, PeerSession, type SharedByPeers} from './peer-session.js';
import type {Peer} from './roster.js';

export interface OutgoingOptions {
  readonly shared: SharedByPeers;
  readonly paths: Paths;
  /** The other member as the roster has it now; undefined: it is not in it. */
  readonly peer: () => Peer | undefined;
  /** The path or its round trip may have changed. */
  readonly onChange: () => void;
}

/** A session without connections ends after this, ms: it would hold a stream of the relay. */
const IDLE_MS = 30_000;
/** How long the first line of the other member may take, ms. */
const ANSWER_MS = 10_000;
/** Waits between attempts to get a path again, ms. */
const FIRST_AGAIN_MS = 100;
const LONGEST_AGAIN_MS = 2_000;
/** The answer on a new path, while the present one works: acks wait for it, ms. */
const MOVE_ANSWER_MS = 3_000;
/** A path that was lost during a move is replaced by the new one within this time, or dialled again, ms. */
const MOVE_MS = 1_000;
/** While connections are on the relay's path, how often a better one is tried, ms. */
const BETTER_MS = 31_000;
/** Connections that move this much through a stream of the relay in this time get a rendezvous there, ms and bytes. */
const LOAD_MS = 500;
const MUCH_BYTES = 4 * 1024 * 1024;

export class OutgoingPeer {
  readonly #options: OutgoingOptions;
  readonly #clock: Clock;
  #session: PeerSession | undefined;
  /** The first path of the session is on its way. */
  #starting: Promise<PeerSession> | undefined;
  #giveUp = new AbortController();
  #idle: Timer | undefined;
  #better: Timer | undefined;
  #load: Timer | undefined;
  /** A better path is on its way. */
  #seeks = false;
  /** The last move to another path, and how many are under way. */
  #move: Promise<void> = Promise.resolve();
  #moves = 0;
  /** The paths that were taken. */
  #taken = 0;
  /** When the present path was taken. */
  #movedAt = 0;
  #closed = false;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#clock = options.shared.clock;
  }

  get path(): PeerPath | undefined {
    return this.#session?.path;
  }

  get rttMs(): number | undefined {
    return this.#session?.rttMs;
  }

  get outstanding(): Outstanding {
    // The seal or the port in front of its connections sees what they move.
    return {connections: this.#session?.connections ?? 0, bytes: this.#session?.queuedBytes ?? 0, moved: 0};
  }

  /**
   * @param use sets the sink of the stream, in the turn in which it is opened
   * @throws TunlError MEMBER_UNKNOWN, MEMBER_UNPROVEN, MEMBER_UNREACHABLE, NOT_ALLOWED, ABORTED, RELAY_*, or what `use` rejects
   * with
   */
  async open<T>(
    to: PeerOpen,
    signal: AbortSignal | undefined,
    use: (stream: Stream) => Promise<T>,
  ): Promise<T> {
    for (let isAgain = false; ; isAgain = true) {
      const session = await this.#ready(signal);
      const stream = session.open(to);
      if (stream === undefined)
        throw new TunlError('MEMBER_UNREACHABLE', {reason: 'Too many connections to the member are open.'});
      try {
        const opened = await use(stream);
        this.#options.onChange();
        return opened;
      } catch (error) {
        // The member has started again, and does not know the session: it saw nothing of this connection.
        const isSessionLost = session.ended && toTunlError(error).code === 'MEMBER_UNREACHABLE';
        if (isAgain || !isSessionLost || signal?.aborted || this.#closed) throw error;
      }
    }
  }

  /** Ends all connections. Resolves when the other member has been told. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#idle?.cancel();
    this.#better?.cancel();
    this.#load?.cancel();
    this.#giveUp.abort();
    await this.#session?.close();
  }

  #ready(signal: AbortSignal | undefined): Promise<PeerSession> {
    if (this.#session !== undefined && !this.#session.ended) return Promise.resolve(this.#session);
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    if (signal === undefined) return this.#starting;
    return unlessAborted(this.#starting, signal);
  }

  async #start(): Promise<PeerSession> {
    const {shared, onChange} = this.#options;
    const session: PeerSession = new PeerSession({
      ...shared,
      id: randomBytes(SESSION_DIGITS / 2).toString('hex'),
      isDialler: true,
      // The other member opens its connections in a session of its own.
      onConnection: (stream) => stream.refuse('NOT_ALLOWED'),
      onDetached: () => {
        const peer = this.#options.peer();
        // During a move the other member has ended the old path.
        if (peer !== undefined && this.#moves === 0)
          this.#options.paths.lost(peer, session.path, this.#clock.now() - this.#movedAt);
        onChange();
        void this.#resume(session);
      },
      onIdle: (isIdle) => this.#onIdle(session, isIdle),
      onEnded: () => {
        if (this.#session === session) this.#session = undefined;
        onChange();
      },
    });
    const way = await this.#dial(session);
    await this.#attach(session, way, false);
    this.#session = session;
    this.#onIdle(session, session.connections === 0);
    this.#seekBetter(session);
    onChange();
    return session;
  }

  async #dial(session: PeerSession): Promise<Way> {
    const peer = this.#options.peer();
    if (peer === undefined) throw new TunlError('MEMBER_UNKNOWN');
    if (this.#closed) throw new TunlError('CLOSED');
    const onLater = (way: Way) => void this.#moveTo(session, way);
    return await this.#options.paths.dial(peer, {signal: this.#giveUp.signal, onLater});
  }

  /** The first lines, then the session goes on over this way. @throws TunlError */
  async #attach(session: PeerSession, {socket, path, begin}: Way, resumes: boolean): Promise<void> {
    const told = resumes ? session.offer() : undefined;
    const {linked} = session;
    const taken = this.#taken;
    try {
      const to = this.#options.peer()?.address;
      const hello = {to, session: session.id, resumes, received: told ?? 0};
      socket.write(`${JSON.stringify(hello)}\n`);
      const answer = readAnswer(await readJsonLine(socket, linked ? MOVE_ANSWER_MS : ANSWER_MS));
      if ('code' in answer) throw refusal(answer.code, answer.message);
      if (this.#closed) throw new TunlError('CLOSED');
      // The answer is from before that path: the session has got further.
      if (taken !== this.#taken)
        throw new TunlError('MEMBER_UNREACHABLE', {reason: 'Another path was quicker.'});
      this.#taken += 1;
      session.attach(begin(this.#options.shared), path, {told, has: answer.received});
      this.#movedAt = this.#clock.now();
      this.#watchLoad(session);
    } catch (error) {
      socket.on('error', () => {});
      socket.destroy();
      throw error;
    } finally {
      if (resumes) session.settle();
    }
  }

  /** The path is lost: tries to get another one until the session ends. */
  async #resume(session: PeerSession): Promise<void> {
    let waitMs = FIRST_AGAIN_MS;
    while (!session.ended && !session.linked && !this.#closed) {
      try {
        // The other member takes the new path first, so the old one may be lost before this member knows of the new one.
        await atMost(this.#clock, MOVE_MS, this.#move);
        if (session.linked) return;
        const way = await this.#dial(session);
        if (session.linked) return void way.socket.destroy();
        await this.#attach(session, way, true);
        this.#seekBetter(session);
        this.#options.onChange();
        return;
      } catch (error) {
        const {code} = toTunlError(error);
        // The other member has lost the session, or may not be reached any more.
        if (code === 'MEMBER_UNPROVEN' || code === 'NOT_ALLOWED' || code === 'CLOSED') {
          session.destroy(toTunlError(error));
          return;
        }
        await pause(this.#clock, waitMs, this.#giveUp.signal);
        waitMs = Math.min(LONGEST_AGAIN_MS, waitMs * 2);
      }
    }
  }

  /** A better way has answered late. */
  async #moveTo(session: PeerSession, way: Way): Promise<void> {
    const isNeeded = !session.linked || isBetter(way.path, session.path);
    if (session.ended || this.#closed || session !== this.#session || !isNeeded)
      return void way.socket.destroy();
    this.#moves += 1;
    this.#move = this.#attach(session, way, true).catch(() => {
      const peer = this.#options.peer();
      if (peer !== undefined) this.#options.paths.lost(peer, way.path, 0);
    });
    await this.#move;
    this.#moves -= 1;
    this.#options.onChange();
  }

  /** Tries now and then whether the relay's path can be left. */
  #seekBetter(session: PeerSession): void {
    this.#better?.cancel();
    this.#better = this.#clock.after(BETTER_MS, () => {
      if (session.ended || this.#closed || session !== this.#session) return;
      const peer = this.#options.peer();
      const {paths} = this.#options;
      if (peer === undefined || this.#seeks || !paths.hasBetter(peer, session.path))
        return this.#seekBetter(session);
      void this.#seek(session, paths.dialBetter(peer, this.#giveUp.signal)).then(() =>
        this.#seekBetter(session),
      );
    });
  }

  /** Moves the connections to this way when it comes. */
  async #seek(session: PeerSession, dialled: Promise<Way>): Promise<void> {
    this.#seeks = true;
    try {
      await this.#moveTo(session, await dialled);
    } catch {
      // The present path stays.
    } finally {
      this.#seeks = false;
    }
  }

  /** A stream of the relay costs everybody on the way much more than a rendezvous, which only pays when much is moved. */
  #watchLoad(session: PeerSession): void {
    this.#load?.cancel();
    const before = session.movedBytes;
    this.#load = this.#clock.after(LOAD_MS, () => {
      const isInUse = session === this.#session && !session.ended && session.connections > 0;
      if (this.#closed || !isInUse || !isBetter('relay-tcp', session.path)) return;
      const peer = this.#options.peer();
      const {paths} = this.#options;
      const isMuch = session.linked && session.movedBytes - before >= MUCH_BYTES;
      if (isMuch && peer !== undefined && !this.#seeks && paths.mayMeet(peer, session.path))
        void this.#seek(session, paths.meet(peer, this.#giveUp.signal));
      this.#watchLoad(session);
    });
  }

  #onIdle(session: PeerSession, isIdle: boolean): void {
    this.#idle?.cancel();
    if (!isIdle) {
      this.#watchLoad(session);
      return;
    }
    this.#idle = this.#clock.after(IDLE_MS, () => {
      if (session.connections === 0) void session.close();
    });
  }
}

function unlessAborted<T>(what: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new TunlError('ABORTED'));
    signal.addEventListener('abort', abort, {once: true});
    // It is attached in any case: a rejection that nobody takes ends the process.
    what.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    if (signal.aborted) abort();
  });
}
