// Answers an HTTP visitor in place of an upstream that does not accept connections: a short page that reloads itself.
//
// Only visitors that speak HTTP get it: ALPN said so, or their first bytes begin a request. A visitor that waits for the
// server to speak first is refused after a short time, as it is without a page.

import type {IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream} from 'node:http2';
// `duplexPair` is a property, because a missing export would be the error of a Node that is too old: core/node-version.ts.
import stream, {Duplex} from 'node:stream';

const RELOAD_S = 3;
const REASON = 'The service behind this address does not accept connections.';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="${RELOAD_S}">
<title>Waiting for the service</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 20vh auto 0; padding: 0 1rem }
h1 { font-size: 1.4rem }
</style>
<h1>The service does not answer</h1>
<p>The tunnel is open, but the service behind it does not accept connections. This page reloads every ${RELOAD_S} seconds.
`;

/** Visitors that are answered at the same time; others are refused as without a page. */
const MAX_OPEN = 256;
/** Longer heads are answered without reading them to their end. */
const MAX_HEAD_BYTES = 16 * 1024;
/** Bytes of a request's body that are thrown away; then the visitor may send no more. */
const MAX_BODY_BYTES = 1024 * 1024;
/** For the first bytes of a visitor without ALPN, ms. */
const SNIFF_MS = 2_000;
/** From the refused dial to the end of the answer, ms. */
const WHOLE_MS = 10_000;
/** From the answer until a visitor that still sends is cut off, ms: a reset at once could overtake the answer. */
const LINGER_MS = 2_000;

const HEAD_END = Buffer.from('\r\n\r\n');
const REQUEST = /^[A-Z]{3,10} [/*h]/;
const REQUEST_BEGINS = /^[A-Z]{0,10}$|^[A-Z]{3,10} $/;

export interface OfflineVisitor {
  /** The protocol that ALPN chose with the visitor. */
  alpn: string | undefined;
  /** The visitor speaks HTTP: an answer follows. */
  onHttp: () => void;
  /** The visitor does not speak HTTP, or sent nothing. Nothing was or will be written. */
  onOther: () => void;
  /** The time for the answer is over, and the visitor has not ended. */
  onLate: () => void;
}

/** The socket for a splice. Destroying it ends everything. */
export type OfflineSocket = Duplex;

export class OfflinePage {
  #open = 0;

  /** Returns undefined when too many visitors are answered already. */
  begin(visitor: OfflineVisitor): OfflineSocket | undefined {
    if (this.#open >= MAX_OPEN) return undefined;
    this.#open += 1;
    const socket = visitor.alpn === 'h2' ? answerHttp2(visitor) : new Http1Answer(visitor);
    socket.once('close', () => {
      this.#open -= 1;
    });
    return socket;
  }
}

function bodyFor(accept: string | undefined): {type: string; body: string} {
  return accept !== undefined && /text\/html/i.test(accept)
    ? {type: 'text/html; charset=utf-8', body: PAGE}
    : {type: 'text/plain; charset=utf-8', body: `${REASON}\n`};
}

/** Headers of the answer, in the order in which they are sent. */
function headersFor({type, body}: {type: string; body: string}): Record<string, string> {
  return {
    'content-type': type,
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': 'no-store',
    'retry-after': String(RELOAD_S),
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    'x-content-type-options': 'nosniff',
  };
}

/** One HTTP/1.1 request: only its head is looked at. */
class Http1Answer extends Duplex {
  readonly #visitor: OfflineVisitor;
  #phase: 'sniff' | 'head' | 'answered' | 'other' = 'sniff';
  #head: Buffer = Buffer.alloc(0);
  #bodyBytes = 0;
  #timer: NodeJS.Timeout;

  constructor(visitor: OfflineVisitor) {
    super({allowHalfOpen: true});
    this.#visitor = visitor;
    this.#timer = setTimeout(this.#other, SNIFF_MS);
    if (visitor.alpn !== undefined) this.#isHttp();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#phase === 'answered') {
      this.#bodyBytes += chunk.length;
      // Without `done` no credit goes back, so the visitor stops.
      if (this.#bodyBytes <= MAX_BODY_BYTES) done();
      return;
    }
    const seen = Math.max(0, this.#head.length - HEAD_END.length + 1);
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, MAX_HEAD_BYTES)]);
    if (this.#phase === 'sniff') {
      const begin = this.#head.toString('latin1', 0, 16);
      if (REQUEST.test(begin)) this.#isHttp();
      else if (!REQUEST_BEGINS.test(begin)) this.#other();
    }
    if (this.#phase === 'head') {
      if (this.#head.length >= MAX_HEAD_BYTES || this.#head.indexOf(HEAD_END, seen) >= 0) this.#answer();
    }
    done();
  }

  override _final(done: () => void): void {
    // A request that ends within its head gets an answer, too. It does no harm.
    if (this.#phase === 'head' && this.#head.length > 0) this.#answer();
    else if (this.#phase === 'head') this.push(null);
    else if (this.#phase === 'sniff') this.#other();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    this.#head = Buffer.alloc(0);
    done(error);
  }

  #isHttp(): void {
    this.#phase = 'head';
    this.#endIn(WHOLE_MS);
    // In its constructor the socket is not joined yet; its owner accepts the visitor at once in every case.
    this.#visitor.onHttp();
  }

  readonly #other = (): void => {
    if (this.#phase !== 'sniff') return;
    this.#phase = 'other';
    clearTimeout(this.#timer);
    this.#visitor.onOther();
  };

  #answer(): void {
    const head = this.#head.toString('latin1');
    this.#head = Buffer.alloc(0);
    this.#phase = 'answered';
    const {type, body} = bodyFor(/^accept:([^\r\n]*)/im.exec(head)?.[1]);
    const lines = Object.entries(headersFor({type, body})).map(([name, value]) => `${name}: ${value}\r\n`);
    const status = `HTTP/1.1 503 Service Unavailable\r\n${lines.join('')}connection: close\r\n\r\n`;
    this.push(head.startsWith('HEAD ') ? status : status + body);
    this.push(null);
    this.#endIn(LINGER_MS);
  }

  #endIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#visitor.onLate(), ms);
  }
}

/** Node's HTTP/2 on a pair of streams. It answers the first requests and takes no more. */
function answerHttp2({onHttp, onLate}: OfflineVisitor): Duplex {
  const {performServerHandshake} = process.getBuiltinModule('node:http2');
  const [outer, inner] = stream.duplexPair();
  const session: ServerHttp2Session = performServerHandshake(inner, {
    maxSessionMemory: 1,
    settings: {maxConcurrentStreams: 32, maxHeaderListSize: MAX_HEAD_BYTES, enablePush: false},
  });
  let timer = setTimeout(onLate, WHOLE_MS);
  session.on('error', () => inner.destroy());
  session.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    answerStream(stream, headers);
    clearTimeout(timer);
    timer = setTimeout(onLate, LINGER_MS);
    if (!session.closed) session.close();
  });
  session.on('close', () => inner.end());
  outer.once('close', () => {
    clearTimeout(timer);
    session.destroy();
    inner.destroy();
  });
  inner.on('error', () => {});
  onHttp();
  return outer;
}

function answerStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  // The visitor may have reset it in the read of its request, and Node throws on an answer to a stream that is over.
  if (stream.destroyed || stream.closed) return;
  const {type, body} = bodyFor(headers.accept);
  const isHead = headers[':method'] === 'HEAD';
  stream.respond({':status': 503, ...headersFor({type, body})}, {endStream: isHead});
  // The body of the request is never read: the window bounds it.
  if (!isHead) stream.end(body);
}
