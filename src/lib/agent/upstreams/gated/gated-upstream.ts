// An upstream behind gates: each HTTP request of a visitor is decided about before the upstream sees it. Node's own HTTP speaks
// with the visitor and with the upstream, so the two can never read a request differently.

// `duplexPair` is a property, because a missing export would be the error of a Node that is too old: core/node-version.ts.
import stream, {type Duplex} from 'node:stream';
import type {ListenState, Upstream, UpstreamDial} from '../upstream.js';
import type {Gatehouse} from './gatehouse.js';
import {Http1Gate} from './http1-gate.js';
import {STRANGER_MS} from './http1-visit.js';
import {UpstreamLine} from './upstream-line.js';

export interface GatedOptions {
  readonly house: Gatehouse;
  /** The tunnel offers HTTP/2. */
  readonly h2: boolean;
  readonly waitMs: number;
  /** While the upstream is down, pages reload. */
  readonly offlinePage: boolean;
}

/** The visitor's side of a gate. */
export interface GateVisit {
  /** Ends both sides at once, so that the upstream sees a reset. */
  reset(): void;
}

/** The beginning of an HTTP/2 connection (RFC 9113 §3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2');

export class GatedUpstream implements Upstream {
  readonly #upstream: Upstream;
  readonly #options: GatedOptions;
  readonly #line: UpstreamLine;
  readonly #http1: Http1Gate;

  constructor(upstream: Upstream, options: GatedOptions) {
    this.#upstream = upstream;
    this.#options = options;
    this.#line = new UpstreamLine(upstream, {waitMs: options.waitMs, reloads: options.offlinePage});
    this.#http1 = new Http1Gate(options.house, this.#line);
    // An upgrade of the package removes the file from under a running tunnel, so it is not read at the first visit only.
    if (options.h2) loadHttp2().catch(() => {});
  }

  get label(): string {
    return this.#upstream.label;
  }

  // No `port`: the guard against loops compares sockets that were dialled, and a gate is none.

  dial(visit: UpstreamDial): () => void {
    let isCancelled = false;
    // No callback comes before this function has returned.
    process.nextTick(() => {
      if (!isCancelled) this.#begin(visit);
    });
    return () => {
      isCancelled = true;
    };
  }

  async listenState(): Promise<ListenState> {
    return await this.#upstream.listenState();
  }

  async probe(preface?: Buffer): Promise<Error | undefined> {
    return await this.#upstream.probe(preface);
  }

  async speaksTls(preface?: Buffer): Promise<boolean> {
    return (await this.#upstream.speaksTls?.(preface)) ?? false;
  }

  async close(): Promise<void> {
    this.#options.house.close();
    await this.#upstream.close?.();
  }

  #begin(dial: UpstreamDial): void {
    const [outer, inner] = stream.duplexPair();
    let visit: GateVisit | undefined;
    // The visitor has left: the other end must not wait for it.
    outer.once('close', () => inner.destroy());
    inner.on('error', () => {});
    inner.once('close', () => {
      if (!outer.writableFinished || !outer.readableEnded) outer.destroy();
    });
    dial.onOpen({
      socket: outer,
      reads: 'events',
      isGate: true,
      reset: () => {
        visit?.reset();
        outer.destroy();
      },
    });
    const begin = (isHttp2: boolean) => {
      if (isHttp2) {
        this.#beginHttp2(inner, outer, dial).then(
          (begun) => (visit = begun),
          () => outer.destroy(),
        );
      } else visit = this.#http1.begin(inner, outer, dial);
    };
    if (dial.alpn !== undefined || !this.#options.h2) begin(dial.alpn === 'h2');
    else sniff(inner, begin);
  }

  async #beginHttp2(inner: Duplex, outer: Duplex, dial: UpstreamDial): Promise<GateVisit> {
    const {Http2Visit} = await loadHttp2();
    return new Http2Visit(inner, outer, {house: this.#options.house, line: this.#line, dial});
  }
}

/** In a file of its own, because most tunnels offer no HTTP/2. */
const loadHttp2 = () => import('./http2-gate.js');

/** For a visitor without ALPN at a tunnel that offers HTTP/2: the first bytes tell. They stay in the stream. */
function sniff(inner: Duplex, begin: (isHttp2: boolean) => void): void {
  const seen: Buffer[] = [];
  const onReadable = () => {
    for (let piece = inner.read(); piece !== null; piece = inner.read()) seen.push(piece as Buffer);
    const head = Buffer.concat(seen);
    const isLike = head.subarray(0, PREFACE.length).equals(PREFACE.subarray(0, head.length));
    if (isLike && head.length < PREFACE.length) return;
    clearTimeout(silent);
    inner.off('readable', onReadable).off('end', onEnd);
    if (head.length > 0) inner.unshift(head);
    begin(isLike);
  };
  const onEnd = () => inner.destroy();
  // The visit, which begins then, has a limit of its own.
  const silent = setTimeout(onEnd, STRANGER_MS).unref();
  inner.on('readable', onReadable).once('end', onEnd);
  inner.once('close', () => clearTimeout(silent));
}
