// Connections that begin outside of a sealed network and end at a program inside.

import type {Socket} from 'node:net';
import {resetSocket} from '../bytes/reset.js';
import type {DialAnswer, DialRequest} from './dialler.js';

export interface InsideDial {
  readonly port: number;
  /** Several are tried one after the other. Default: the own address in the private network, or else both loopback addresses. */
  readonly address?: string | readonly string[] | undefined;
  /** The address that the program sees as the peer's. Only in a private network, and one of its addresses. */
  readonly from?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Dials that wait for an answer. Each is a socket and a timer of the dialling program. */
const MAX_WAITING = 1_024;

const LOOPBACK = ['127.0.0.1', '::1'] as const;

interface Waiting {
  readonly port: number;
  readonly resolve: (socket: Socket) => void;
  readonly reject: (error: Error) => void;
}

export interface InsideDialsOptions {
  /** Starts the dialling program. Called once, and once more after each `lose`. */
  readonly start: () => Promise<unknown>;
  readonly send: (request: DialRequest) => void;
  /** The own address in a private network. */
  readonly address?: string | undefined;
}

export class InsideDials {
  readonly #options: InsideDialsOptions;
  readonly #waiting = new Map<number, Waiting>();
  #started: Promise<unknown> | undefined;
  #next = 0;
  #end: Error | undefined;

  constructor(options: InsideDialsOptions) {
    this.#options = options;
  }

  /** The socket allows half-open connections, and its errors end nothing. @throws Error with the system's code, ECONNREFUSED for a closed port */
  async dial({port, address = this.#options.address, from, signal}: InsideDial): Promise<Socket> {
    signal?.throwIfAborted();
    if (this.#waiting.size >= MAX_WAITING) throw dialError('EAGAIN', `port ${port}`);
    const id = ++this.#next;
    const {promise, resolve, reject} = Promise.withResolvers<Socket>();
    this.#waiting.set(id, {port, resolve, reject});
    const abort = () => this.#settle(id)?.reject(signal?.reason);
    signal?.addEventListener('abort', abort);
    try {
      await Promise.race([this.#start(), promise]);
      if (this.#waiting.has(id))
        this.#options.send({dial: id, port, addresses: [address ?? LOOPBACK].flat(), from});
      return await promise;
    } finally {
      this.#waiting.delete(id);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** An answer of the dialling program. */
  take(answer: DialAnswer, socket: Socket | undefined): void {
    const waiting = this.#settle(answer.dialled);
    if ('failed' in answer) {
      waiting?.reject(dialError(answer.failed, `${answer.address} port ${waiting?.port}`));
      return;
    }
    // A program that has ended at once may have closed it on the way.
    if (socket === undefined) {
      waiting?.reject(dialError('ECONNRESET', 'the program'));
      return;
    }
    socket.on('error', () => {});
    if (waiting === undefined) {
      resetSocket(socket);
      return;
    }
    socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    waiting.resolve(socket);
  }

  /** The dialling program has ended: all that wait fail, and the next dial starts it again. */
  lose(): void {
    this.#started = undefined;
    this.#failAll(dialError('ECONNABORTED', 'the dialling program'));
  }

  /** Fails all that wait, and all to come. */
  close(): void {
    this.#end = dialError('ECONNABORTED', 'the sealed network');
    this.#failAll(this.#end);
  }

  #failAll(error: Error): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(error);
  }

  #start(): Promise<unknown> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    this.#started ??= this.#options.start();
    return this.#started;
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}

function dialError(code: string, where: string): Error {
  return Object.assign(new Error(`connect ${code} ${where}`), {code});
}
