// Streams to members whose agents are at another worker: each pair of workers has a session over a private Unix socket. A folder
// that only this user may enter protects the sockets.

import {once} from 'node:events';
import {rmdirSync, rmSync} from 'node:fs';
import {connect, createServer, type Server, type Socket} from 'node:net';
import {join} from 'node:path';
import {openLocalSession} from '../../carrier/local-session.js';
import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import type {Session} from '../../mux/session.js';
import type {Stream} from '../../mux/stream.js';
import {MalformedMessage, parseJsonObject, whole} from '../../protocol/fields.js';
import {type MemberOffer, parseMemberOffer} from '../../protocol/network-messages.js';
import {KIND, LIMITS} from '../../protocol/wire.js';
import type {Part} from '../part.js';

/** The limit for the growth of all windows of one session. */
const WINDOW_BYTES = 64 * 1024 * 1024;

/** The OPEN of a stream to another worker. */
export interface PeerOpen extends MemberOffer {
  /** The desk's number of the member. */
  member: number;
}

/** @throws MalformedMessage */
export function parsePeerOpen(payload: Buffer): PeerOpen {
  const member = whole(parseJsonObject(payload), 'member', 1, Number.MAX_SAFE_INTEGER);
  return {...parseMemberOffer(payload), member};
}

export interface PeersOptions {
  /** The folder of the sockets of all workers. */
  folder: string;
  /** This worker. */
  number: number;
  /** Takes a stream that another worker has opened. @throws MalformedMessage */
  onStream: (stream: Stream, payload: Buffer) => void;
  clock: Clock;
  log: Logger;
}

export class Peers implements Part {
  readonly #options: PeersOptions;
  readonly #server: Server;
  /** Sessions that this worker has begun, by the number of the other worker. */
  readonly #outgoing = new Map<number, Promise<Session | undefined>>();
  readonly #all = new Set<Session>();
  #isClosed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#server = createServer({allowHalfOpen: true}, (socket) => this.#begin(socket, 'agent'));
    this.#server.on('error', () => {});
  }

  /** Without its socket a worker still reaches the others, and refuses what comes from them. */
  async start(): Promise<void> {
    this.#server.listen(socketOf(this.#options.folder, this.#options.number));
    try {
      await once(this.#server, 'listening');
      process.on('exit', this.#removeFiles);
    } catch (error) {
      const reason = String(error);
      this.#options.log.warn('members at this worker cannot be reached from other workers', {reason});
    }
  }

  close(): void {
    this.#isClosed = true;
    process.off('exit', this.#removeFiles);
    this.#server.close();
    for (const session of [...this.#all]) session.close();
  }

  /** Undefined: the other worker is gone, or too many streams are open. */
  async open(worker: number, about: PeerOpen): Promise<Stream | undefined> {
    return (await this.#sessionTo(worker))?.open(KIND.member, about);
  }

  #sessionTo(worker: number): Promise<Session | undefined> {
    const known = this.#outgoing.get(worker);
    if (known !== undefined) return known;
    const forget = () => {
      if (this.#outgoing.get(worker) === session) this.#outgoing.delete(worker);
    };
    const session = this.#dial(worker, forget);
    this.#outgoing.set(worker, session);
    void session.then((begun) => {
      if (begun === undefined) forget();
    });
    return session;
  }

  async #dial(worker: number, onEnded: () => void): Promise<Session | undefined> {
    if (this.#isClosed) return undefined;
    const socket = connect({path: socketOf(this.#options.folder, worker), allowHalfOpen: true});
    try {
      await once(socket, 'connect');
    } catch {
      socket.destroy();
      return undefined;
    }
    return this.#begin(socket, 'relay', onEnded);
  }

  #begin(socket: Socket, role: 'relay' | 'agent', onEnded = () => {}): Session | undefined {
    if (this.#isClosed) {
      socket.destroy();
      return undefined;
    }
    const {onStream, clock} = this.#options;
    const session: Session = openLocalSession({
      ...{socket, role, clock, windowBytes: WINDOW_BYTES, maxStreams: LIMITS.streams},
      sink: {
        onOpen: (stream, payload) => {
          try {
            onStream(stream, payload);
          } catch (error) {
            if (!(error instanceof MalformedMessage)) throw error;
            stream.refuse('CANCELLED', error.message);
          }
        },
        onControl: () => {},
        onEnded: () => {
          this.#all.delete(session);
          onEnded();
        },
      },
    });
    this.#all.add(session);
    return session;
  }

  /** The first process removes the folder, unless it was killed. Then the last worker does. */
  readonly #removeFiles = (): void => {
    try {
      rmSync(socketOf(this.#options.folder, this.#options.number), {force: true});
      rmdirSync(this.#options.folder);
    } catch {
      // It is gone, or other sockets are in it.
    }
  };
}

/** The socket of a worker in the folder of all. */
export const socketOf = (folder: string, worker: number): string => join(folder, `${worker}.sock`);
