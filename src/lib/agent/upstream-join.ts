// Joins each visitor's stream with a separate connection to the upstream: dials, splices, resets when it breaks.

import type {SocketReads} from '../bytes/socket-reads.js';
import {Splice, type SpliceOptions} from '../bytes/splice.js';
import {type Tap, TappedSplice} from '../bytes/tap.js';
import type {UnreadLimit} from '../bytes/unread-limit.js';
import {systemCode, TunlError} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import {KeepAlive} from '../net/keep-alive.js';
import type {StreamCode} from '../protocol/wire.js';
import {LoopGuard} from './loop-guard.js';
import {OfflinePage} from './offline-page.js';
import {UpstreamWait} from './upstream-wait.js';
import type {ProxyHeader} from './upstreams/proxy-header.js';
import type {Upstream, UpstreamConnection, UpstreamDial, VisitorFacts} from './upstreams/upstream.js';

/** The `cause` of a visit whose upstream is the tunnel itself. */
export const LOOP: Error = new Error('loop');

export interface UpstreamVisit {
  stream: Stream;
  /** `HOST:PORT` of the visitor. */
  from: string;
  /** Only visitors of the TLS name may get an offline page. */
  visitor?: VisitorFacts | undefined;
  /** Goes to the visitor before the upstream's bytes. */
  greeting?: Buffer;
  /** Bytes flow. `dialled`: the upstream has answered; false when a gate answers first. */
  onOpen: (dialled: boolean) => void;
  /**
   * The visit is over. `code`: the reason, if not in order. `cause`: the reason of a failed dial. `gotPage`: this agent has
   * answered in place of the upstream.
   */
  onDone: (code: StreamCode | undefined, cause?: Error, gotPage?: boolean) => void;
  /** The upstream ended an open connection and gave a reason. */
  onComplaint?: (error: TunlError) => void;
  /** A gate has dialled the upstream for this visitor. */
  onGateDialled?: (error: Error | undefined) => void;
  /** The upstream gave no answer to a gate's request. */
  onGateUnanswered?: UpstreamDial['onGateUnanswered'];
}

export interface UpstreamJoinOptions {
  reads: SocketReads;
  /** Asked for each visitor: undefined where nothing looks at the bytes. */
  tap?: (() => Tap | undefined) | undefined;
  /** How long a visitor waits for an upstream that does not accept connections, ms. Default 0. */
  waitMs?: number;
  /** Answers HTTP visitors of a TLS name while the upstream does not accept connections. */
  offlinePage?: boolean;
  /** Tells the upstream the address of each visitor. */
  proxyHeader?: ProxyHeader | undefined;
  /** Bounds the bytes that visitors send and the upstream does not read. Default: only the streams' windows. */
  unread?: UnreadLimit;
}

export class UpstreamJoin {
  readonly #reads: SocketReads;
  readonly #tap: (() => Tap | undefined) | undefined;
  readonly #wait: UpstreamWait;
  readonly #offline: OfflinePage | undefined;
  readonly #unread: UnreadLimit | undefined;
  readonly #proxyHeader: ProxyHeader | undefined;
  readonly #loops = new LoopGuard();
  readonly #keepAlive = new KeepAlive();
  /** Undefined until a starting program answers. */
  #upstream: Upstream | undefined;

  constructor(
    upstream: Upstream | undefined,
    {reads, tap, waitMs = 0, offlinePage = false, unread, proxyHeader}: UpstreamJoinOptions,
  ) {
    this.#reads = reads;
    this.#tap = tap;
    this.#wait = new UpstreamWait(waitMs);
    this.#offline = offlinePage ? new OfflinePage() : undefined;
    this.#unread = unread;
    this.#proxyHeader = proxyHeader;
    this.#upstream = upstream;
  }

  get label(): string {
    return this.#upstream?.label ?? 'the upstream';
  }

  /** The upstream that is dialled; undefined until it is known. */
  get upstream(): Upstream | undefined {
    return this.#upstream;
  }

  /** From now on visitors go to this upstream. */
  pointTo(upstream: Upstream): void {
    this.#upstream = upstream;
  }

  /** The tunnel has this public TCP port. */
  set publicPort(port: number) {
    this.#loops.publicPort = port;
  }

  /** As `Upstream.probe`. */
  async probe(): Promise<Error | undefined> {
    const upstream = this.#upstream;
    if (upstream === undefined) return new TunlError('UPSTREAM_REFUSED');
    return await upstream.probe(this.#proxyHeader?.of(undefined));
  }

  /** As `Upstream.speaksTls`. */
  async speaksTls(): Promise<boolean> {
    return (await this.#upstream?.speaksTls?.(this.#proxyHeader?.of(undefined))) ?? false;
  }

  /** Dials for one visitor's stream and splices; accepts or refuses the stream. */
  visit(visit: UpstreamVisit): void {
    const {stream, from, visitor, greeting, onOpen, onDone, onComplaint, onGateDialled, onGateUnanswered} =
      visit;
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
    const wait = this.#wait.begin();
    let stopDial = () => {};
    let connection: UpstreamConnection | undefined;
    let refusal: Error | undefined;
    let paged: StreamCode | undefined;
    let alive: ReturnType<KeepAlive['add']> | undefined;
    const options: SpliceOptions = {
      stream,
      brokenCode: 'UPSTREAM_RESET',
      reset: () => connection?.reset(),
      connects: () => !wait.waits,
      onDone: (code) => {
        if (watched !== undefined) this.#unread?.delete(watched);
        this.#loops.left(from);
        this.#keepAlive.delete(alive);
        wait.end();
        stopDial();
        onDone(paged ?? code, refusal, paged !== undefined);
      },
    };
    const tap = this.#tap?.();
    const splice = tap === undefined ? new Splice(options) : new TappedSplice(options, tap);
    const watched = this.#unread?.add({stream, cut: () => splice.cut('TOO_MUCH_UNREAD')});
    const failed = (error: Error | undefined) => {
      if (mayPass(error) && !splice.ending && wait.again(dialOnce)) return;
      refusal = error;
      const code = error && systemCode(error) === 'ETIMEDOUT' ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_REFUSED';
      const refuse = () => {
        stream.refuse(code);
        splice.onReset(code);
      };
      if (visitor?.via !== 'tls' || splice.ending) return refuse();
      const page = this.#offline?.begin({
        alpn: visitor.alpn,
        onHttp: () => {
          paged = code;
          stream.accept();
        },
        onOther: refuse,
        onLate: () => splice.cut(code),
      });
      if (page === undefined) return refuse();
      wait.end();
      connection = {socket: page, reads: 'events', reset: () => void page.destroy()};
      splice.join(page);
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
      if (!dialled.isGate) alive = this.#keepAlive.add(socket);
      stream.accept();
      if (greeting !== undefined) stream.write(greeting);
      splice.join(socket, reads);
      onOpen(!dialled.isGate);
    };
    const reader = () => this.#reads.for(splice);
    const dialOnce = () => {
      const upstream = this.#upstream;
      if (upstream === undefined) return failed(undefined);
      stopDial = upstream.dial({
        visitor,
        alpn: visitor?.alpn,
        preface: this.#proxyHeader?.of(visitor),
        reader,
        onOpen: opened,
        onFailed: failed,
        ...(onComplaint !== undefined && {onComplaint}),
        ...(onGateDialled !== undefined && {onGateDialled}),
        ...(onGateUnanswered !== undefined && {onGateUnanswered}),
      });
    };
    dialOnce();
  }
}

/** An untrusted certificate does not become trusted later. */
function mayPass(error: Error | undefined): boolean {
  return !(error instanceof TunlError) || error.retryable;
}
