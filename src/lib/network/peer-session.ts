// A session between two members: their connections are its streams. It outlives the path under it, as the session between an
// agent and its relay outlives a carrier, so connections survive a direct path that is lost, and a relay that starts again.

import type {UnreadLimit} from '../bytes/unread-limit.js';
import {watchStream} from '../bytes/watch-stream.js';
import type {Clock} from '../core/clock.js';
import type {TunlError} from '../core/errors.js';
import type {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import {Link, NOBODY} from '../mux/link.js';
import {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import type {WindowBudget} from '../mux/window-budget.js';
import {MalformedMessage} from '../protocol/fields.js';
import {KIND} from '../protocol/wire.js';
import {type FlowPorts, readFlowPorts, readPort} from './peer-messages.js';

/** The way that the bytes take: a Unix socket of this machine, a TCP connection, two that the relay joins, a stream of the relay. */
export type PeerPath = 'machine' | 'direct' | 'relay-tcp' | 'relay';

/** How long connections are kept while there is no path, ms. */
export const RESUME_WINDOW_MS = 60_000;
const PING_AFTER_MS = 5_000;
const DEAD_AFTER_MS = 15_000;
/** The relay knows when a member is gone; the path through it may be silent as long as its own sessions may. */
const NEVER_MS = 24 * 60 * 60 * 1_000;
/** Connections of two members at once. */
const MAX_STREAMS = 4_096;

/** The parts that the sessions of one membership share. */
export interface SharedByPeers {
  readonly clock: Clock;
  readonly pool: BlockPool;
  readonly windows: WindowBudget;
  readonly unread: UnreadLimit;
}

/** The OPEN of a connection or of a flow of UDP. */
export type PeerOpen = {readonly port: number} | FlowPorts;

export interface PeerSessionOptions extends SharedByPeers {
  readonly id: string;
  readonly isDialler: boolean;
  /** The other member opened a connection to this port. */
  onConnection(stream: Stream, port: number): void;
  /** The other member opened a flow of UDP. Undefined: this one takes none. */
  onFlow?: ((stream: Stream, ports: FlowPorts) => void) | undefined;
  /** The path is lost, and the connections wait for another one. */
  onDetached(): void;
  /** The number of open connections has become 0, or was 0 and is not any more. */
  onIdle?(isIdle: boolean): void;
  onEnded(error: TunlError | undefined): void;
}

export class PeerSession {
  readonly id: string;
  readonly #options: PeerSessionOptions;
  readonly #session: Session;
  #path: PeerPath = 'relay';
  #open = 0;

  constructor(options: PeerSessionOptions) {
    this.#options = options;
    this.id = options.id;
    const {clock, pool, windows} = options;
    this.#session = new Session({
      role: options.isDialler ? 'agent' : 'relay',
      clock,
      pool,
      resumeWindowMs: RESUME_WINDOW_MS,
      windowBudget: windows,
      maxStreams: MAX_STREAMS,
      sink: {
        onOpen: (stream, about) => this.#onOpen(stream, about),
        onControl: () => {},
        onDetached: () => options.onDetached(),
        onEnded: (error) => options.onEnded(error),
      },
    });
  }

  get path(): PeerPath {
    return this.#path;
  }

  get linked(): boolean {
    return this.#session.link !== undefined;
  }

  get ended(): boolean {
    return this.#session.ended;
  }

  get connections(): number {
    return this.#open;
  }

  /** Bytes that the other member has not acknowledged. */
  get queuedBytes(): number {
    return this.#session.queuedBytes;
  }

  /** Bytes that have come, and those that the other member has. */
  get movedBytes(): number {
    return this.#session.receivedBytes + this.#session.ackedBytes;
  }

  get rttMs(): number | undefined {
    return this.#session.link?.lastRttMs;
  }

  /** The count for the first line. `settle` must follow when the attempt has ended. */
  offer(): number {
    return this.#session.offerResume();
  }

  settle(): void {
    this.#session.settleResume();
  }

  /**
   * Goes on over this path. The one before, if there is one, is destroyed.
   *
   * @param told what `offer` has returned for it; undefined for a new session
   * @param has the bytes that the other member has
   */
  attach(carrier: Carrier, path: PeerPath, {told, has}: {told: number | undefined; has: number}): void {
    if (this.#session.ended) {
      carrier.destroy();
      return;
    }
    const isRelayed = path === 'relay';
    const link = new Link(carrier, {
      clock: this.#options.clock,
      pingAfterMs: isRelayed ? NEVER_MS : PING_AFTER_MS,
      deadAfterMs: isRelayed ? NEVER_MS : DEAD_AFTER_MS,
    });
    link.told = told;
    this.#path = path;
    link.start(NOBODY);
    this.#session.attach(link, has);
  }

  /** A connection, or with `from` a flow of UDP. Undefined: the session has ended, or has too many. */
  open(to: PeerOpen): Stream | undefined {
    const stream = this.#session.open('from' in to ? KIND.datagram : KIND.member, to);
    if (stream !== undefined) this.#count(stream);
    return stream;
  }

  /** Ends all connections. Resolves when the other member has been told, or the path is lost. */
  async close(): Promise<void> {
    const {link} = this.#session;
    this.#session.close();
    await link?.gone();
  }

  destroy(error: TunlError): void {
    this.#session.destroy(error);
  }

  #onOpen(stream: Stream, about: Buffer): void {
    const {onConnection, onFlow} = this.#options;
    try {
      if (stream.kind === KIND.member) {
        const port = readPort(about);
        this.#count(stream);
        onConnection(stream, port);
      } else if (stream.kind === KIND.datagram && onFlow !== undefined) {
        const ports = readFlowPorts(about);
        this.#count(stream);
        onFlow(stream, ports);
      } else stream.refuse('KIND_UNKNOWN');
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      stream.refuse('CANCELLED', error.message);
    }
  }

  #count(stream: Stream): void {
    const {unread, onIdle} = this.#options;
    const unwatch = watchStream(unread, stream);
    this.#open += 1;
    if (this.#open === 1) onIdle?.(false);
    stream.onGone = () => {
      unwatch();
      this.#open -= 1;
      if (this.#open === 0) onIdle?.(true);
    };
  }
}
