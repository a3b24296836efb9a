// The local service: dialled once for each visitor, joined with the visitor's stream, reset when it breaks.

import type {Socket} from 'node:net';
import {resetSocket} from '../bytes/reset.js';
import type {SocketReads} from '../bytes/socket-reads.js';
import {Splice} from '../bytes/splice.js';
import type {UnreadLimit} from '../bytes/unread-limit.js';
import {systemCode} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import {dial, openSocket} from '../net/dial.js';
import {formatHostPort, type HostPort} from '../protocol/targets.js';
import type {StreamCode} from '../protocol/wire.js';
import type {HostChecks} from './host-checks.js';
import {LoopGuard} from './loop-guard.js';
import {UpstreamWait} from './upstream-wait.js';

/** For one dial, ms: a service on this machine or its network answers sooner, and a visitor waits no longer. */
const DIAL_TIMEOUT_MS = 10_000;

/** The `cause` of a visit whose upstream is the tunnel itself. */
export const LOOP = 'ELOOP';

export interface UpstreamVisit {
  stream: Stream;
  /** `HOST:PORT` of the visitor. */
  from: string;
  /** The upstream answered; bytes flow. */
  onOpen: () => void;
  /** The visit is over. `code`: why, when not in order. `cause`: the system's code when the upstream could not be dialled. */
  onDone: (code: StreamCode | undefined, cause?: string) => void;
}

type Look = ReturnType<HostChecks['begin']>;

export interface UpstreamOptions {
  reads: SocketReads;
  checks?: HostChecks | undefined;
  /** How long a visitor waits for an upstream that does not accept connections, ms. Default 0. */
  waitMs?: number;
  /** Bounds what visitors send and the upstream does not read. Default: nothing does but the streams' windows. */
  unread?: UnreadLimit;
}

export class Upstream {
  readonly #reads: SocketReads;
  readonly #checks: HostChecks | undefined;
  readonly #wait: UpstreamWait;
  readonly #unread: UnreadLimit | undefined;
  readonly #loops = new LoopGuard();
  /** Undefined until a program that is being started answers. */
  #place: HostPort | undefined;
  /** The address that answered last. */
  #answered: string | undefined;

  constructor(place: HostPort | undefined, {reads, checks, waitMs = 0, unread}: UpstreamOptions) {
    this.#reads = reads;
    this.#checks = checks;
    this.#wait = new UpstreamWait(waitMs);
    this.#unread = unread;
    this.#place = place;
  }

  get label(): string {
    return this.#place === undefined ? 'the upstream' : formatHostPort(this.#place.host, this.#place.port);
  }

  /** Where it is dialled; undefined until it is known. */
  get place(): HostPort | undefined {
    return this.#place;
  }

  /** Visitors are led there from now on. */
  pointTo(place: HostPort): void {
    this.#place = place;
    this.#answered = undefined;
  }

  /** The tunnel has this public TCP port. */
  set publicPort(port: number) {
    this.#loops.publicPort = port;
  }

  /** Dials for one visitor's stream and splices; the stream is accepted or refused here. */
  visit({stream, from, onOpen, onDone}: UpstreamVisit): void {
    if (this.#unread?.full) {
      stream.refuse('TOO_MUCH_UNREAD');
      onDone('TOO_MUCH_UNREAD');
      return;
    }
    if (this.#loops.visited(this.#place?.port, from)) {
      stream.refuse('UPSTREAM_REFUSED');
      onDone('UPSTREAM_REFUSED', LOOP);
      return;
    }
    const look = this.#checks?.begin();
    const wait = this.#wait.begin();
    let stopDial = () => {};
    let socket: Socket | undefined;
    let refusal: string | undefined;
    const splice: Splice = new Splice({
      stream,
      brokenCode: 'UPSTREAM_RESET',
      reset: () => socket !== undefined && resetSocket(socket),
      connects: () => !wait.waits,
      onDone: (code) => {
        this.#unread?.delete(holder);
        this.#loops.left(from);
        wait.end();
        stopDial();
        onDone(code, refusal);
      },
    });
    const holder = {stream, cut: () => splice.cut('TOO_MUCH_UNREAD')};
    this.#unread?.add(holder);
    const failed = (error: Error | undefined) => {
      if (!splice.ending && wait.again(dialOnce)) return;
      refusal = error && (systemCode(error) || 'ECONNREFUSED');
      const code = refusal === 'ETIMEDOUT' ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_REFUSED';
      stream.refuse(code);
      splice.onReset(code);
    };
    const opened = (dialled: Socket, address: string) => {
      wait.end();
      if (this.#loops.dialled(dialled.remotePort ?? 0, dialled)) {
        refusal = LOOP;
        resetSocket(dialled);
        stream.refuse('UPSTREAM_REFUSED');
        splice.onReset('UPSTREAM_REFUSED');
        return;
      }
      this.#answered = address;
      socket = dialled;
      stream.accept();
      splice.join(dialled, 'onread');
      onOpen();
    };
    const dialOnce = () => {
      const place = this.#place;
      if (place === undefined) return failed(undefined);
      stopDial = dial({
        ...place,
        timeoutMs: DIAL_TIMEOUT_MS,
        prefer: this.#answered,
        open: (address, port) => this.#open(address, port, splice, look),
        onOpen: opened,
        onFailed: failed,
      });
    };
    dialOnce();
  }

  #open(address: string, port: number, splice: Splice, look: Look | undefined): Socket {
    const read = this.#reads.for(splice);
    const socket = openSocket(address, port, {
      allowHalfOpen: true,
      onread: {
        buffer: () => read.buffer(),
        callback: look
          ? (bytes, buffer) => {
              look(buffer, bytes);
              return read.callback(bytes, buffer);
            }
          : (bytes, buffer) => read.callback(bytes, buffer),
      },
    });
    socket.once('close', () => read.release());
    return socket;
  }
}
