// Joins each visitor's stream with a connection of its own to the upstream: dialled, spliced, reset when it breaks.

import type {SocketRead, SocketReads} from '../bytes/socket-reads.js';
import {Splice} from '../bytes/splice.js';
import type {UnreadLimit} from '../bytes/unread-limit.js';
import {systemCode, TunlError} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import {KeepAlive} from '../net/keep-alive.js';
import type {StreamCode} from '../protocol/wire.js';
import type {HostChecks, Look} from './host-checks.js';
import {LoopGuard} from './loop-guard.js';
import {UpstreamWait} from './upstream-wait.js';
import type {Upstream, UpstreamConnection} from './upstreams/upstream.js';

/** The `cause` of a visit whose upstream is the tunnel itself. */
export const LOOP: Error = new Error('loop');

export interface UpstreamVisit {
  stream: Stream;
  /** `HOST:PORT` of the visitor. */
  from: string;
  /** What ALPN agreed on with the visitor, if anything. */
  alpn?: string | undefined;
  /** The upstream answered; bytes flow. */
  onOpen: () => void;
  /** The visit is over. `code`: why, when not in order. `cause`: why the upstream could not be dialled. */
  onDone: (code: StreamCode | undefined, cause?: Error) => void;
  /** The upstream ended an open connection and said why. */
  onComplaint?: (error: TunlError) => void;
}

export interface UpstreamJoinOptions {
  reads: SocketReads;
  checks?: HostChecks | undefined;
  /** How long a visitor waits for an upstream that does not accept connections, ms. Default 0. */
  waitMs?: number;
  /** Bounds what visitors send and the upstream does not read. Default: nothing does but the streams' windows. */
  unread?: UnreadLimit;
}

export class UpstreamJoin {
  readonly #reads: SocketReads;
  readonly #checks: HostChecks | undefined;
  readonly #wait: UpstreamWait;
  readonly #unread: UnreadLimit | undefined;
  readonly #loops = new LoopGuard();
  readonly #keepAlive = new KeepAlive();
  /** Undefined until a program that is being started answers. */
  #upstream: Upstream | undefined;

  constructor(upstream: Upstream | undefined, {reads, checks, waitMs = 0, unread}: UpstreamJoinOptions) {
    this.#reads = reads;
    this.#checks = checks;
    this.#wait = new UpstreamWait(waitMs);
    this.#unread = unread;
    this.#upstream = upstream;
  }

  get label(): string {
    return this.#upstream?.label ?? 'the upstream';
  }

  /** What is dialled; undefined until it is known. */
  get upstream(): Upstream | undefined {
    return this.#upstream;
  }

  /** Visitors are led there from now on. */
  pointTo(upstream: Upstream): void {
    this.#upstream = upstream;
  }

  /** The tunnel has this public TCP port. */
  set publicPort(port: number) {
    this.#loops.publicPort = port;
  }

  /** Dials for one visitor's stream and splices; the stream is accepted or refused here. */
  visit({stream, from, alpn, onOpen, onDone, onComplaint}: UpstreamVisit): void {
    if (this.#unread?.full) {
      stream.refuse('TOO_MUCH_UNREAD');
      onDone('TOO_MUCH_UNREAD');
      return;
    }
    if (this.#loops.visited(this.#upstream?.port, from)) {
      stream.refuse('UPSTREAM_REFUSED');
      onDone('UPSTREAM_REFUSED', LOOP);
      return;
    }
    const look = this.#checks?.begin();
    const wait = this.#wait.begin();
    let stopDial = () => {};
    let connection: UpstreamConnection | undefined;
    let refusal: Error | undefined;
    let alive: ReturnType<KeepAlive['add']> | undefined;
    const splice: Splice = new Splice({
      stream,
      brokenCode: 'UPSTREAM_RESET',
      reset: () => connection?.reset(),
      connects: () => !wait.waits,
      onDone: (code) => {
        if (watched !== undefined) this.#unread?.delete(watched);
        this.#loops.left(from);
        if (alive !== undefined) this.#keepAlive.delete(alive);
        wait.end();
        stopDial();
        onDone(code, refusal);
      },
    });
    const watched = this.#unread?.add({stream, cut: () => splice.cut('TOO_MUCH_UNREAD')});
    const failed = (error: Error | undefined) => {
      if (mayPass(error) && !splice.ending && wait.again(dialOnce)) return;
      refusal = error;
      const code = error && systemCode(error) === 'ETIMEDOUT' ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_REFUSED';
      stream.refuse(code);
      splice.onReset(code);
    };
    const opened = (dialled: UpstreamConnection) => {
      wait.end();
      if (this.#loops.dialled(this.#upstream?.port, dialled.socket)) {
        refusal = LOOP;
        dialled.reset();
        stream.refuse('UPSTREAM_REFUSED');
        splice.onReset('UPSTREAM_REFUSED');
        return;
      }
      connection = dialled;
      const {socket, reads} = dialled;
      alive = this.#keepAlive.add(socket);
      stream.accept();
      if (look !== undefined && reads === 'events')
        socket.on('data', (chunk: Buffer) => look(chunk, chunk.length));
      splice.join(socket, reads);
      onOpen();
    };
    const reader = () => tapped(this.#reads.for(splice), look);
    const dialOnce = () => {
      const upstream = this.#upstream;
      if (upstream === undefined) return failed(undefined);
      stopDial = upstream.dial({
        alpn,
        reader,
        onOpen: opened,
        onFailed: failed,
        ...(onComplaint !== undefined && {onComplaint}),
      });
    };
    dialOnce();
  }
}

/** A certificate that is not trusted does not become so by waiting. */
function mayPass(error: Error | undefined): boolean {
  return !(error instanceof TunlError) || error.retryable;
}

function tapped(read: SocketRead, look: Look | undefined): SocketRead {
  if (look === undefined) return read;
  const callback: SocketRead['callback'] = (bytes, buffer) => {
    look(buffer, bytes);
    return read.callback(bytes, buffer);
  };
  return {buffer: read.buffer, callback, release: read.release};
}
