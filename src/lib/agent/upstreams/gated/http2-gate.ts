// A gate for one visitor with HTTP/2: Node's server on the visitor's side, Node's client on the upstream's. Each stream is
// decided about by itself.

import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2';
import type {Duplex} from 'node:stream';
import type {UpstreamConnection} from '../upstream.js';
import {refusal} from './answers.js';
import type {GateAnswer} from './gate.js';
import type {GateVisit} from './gated-upstream.js';
import type {Admitted, Ruling} from './gatehouse.js';
import type {HeaderList} from './headers.js';
import {STRANGER_MS, type VisitContext} from './http1-visit.js';
import {Stays} from './stays.js';

const MAX_HEADER_BYTES = 64 * 1024;
const MAX_STREAMS = 128;
/** A download should not wait for the round trips of the default of 64 KiB. */
const WINDOW_BYTES = 256 * 1024;
/** The windows bound what a session holds. Node also counts what was thrown away with a stream that was reset. */
const SESSION_MEMORY_MB = 256;
/** Bytes of a request after its answer; then the connection ends. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

const http2 = () => process.getBuiltinModule('node:http2');

export class Http2Visit implements GateVisit {
  readonly #outer: Duplex;
  readonly #context: VisitContext;
  readonly #session: ServerHttp2Session;
  readonly #stays: Stays;
  #timer: NodeJS.Timeout | undefined;
  #upstream: Promise<ClientHttp2Session> | undefined;
  #connection: UpstreamConnection | undefined;
  #stopDial: () => void = () => {};

  constructor(inner: Duplex, outer: Duplex, context: VisitContext) {
    this.#outer = outer;
    this.#context = context;
    this.#stays = new Stays(() => this.reset());
    this.#timer = setTimeout(() => this.reset(), STRANGER_MS).unref();
    const {constants, performServerHandshake} = http2();
    this.#session = performServerHandshake(inner, {
      settings: {
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: MAX_HEADER_BYTES,
        initialWindowSize: WINDOW_BYTES,
        enablePush: false,
      },
      maxSessionMemory: SESSION_MEMORY_MB,
    });
    this.#session.on('error', () => outer.destroy());
    this.#session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => {
      stream.on('error', () => {});
      this.#request(stream, headers, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0);
    });
    this.#session.once('close', () => inner.end());
    inner.once('close', () => this.#ended());
  }

  reset(): void {
    this.#connection?.reset();
    this.#session.destroy();
    this.#outer.destroy();
  }

  #ended(): void {
    clearTimeout(this.#timer);
    this.#stays.release();
    this.#stopDial();
    this.#session.destroy();
    void this.#upstream?.then(
      (session) => session.destroy(),
      () => {},
    );
  }

  #request(stream: ServerHttp2Stream, all: IncomingHttpHeaders, isEnded: boolean): void {
    const {house, dial} = this.#context;
    const raw = {
      method: String(all[':method'] ?? ''),
      target: String(all[':path'] ?? ''),
      authority: all[':authority'],
      headers: listOf(all),
      httpVersion: 'h2',
      isUpgrade: false,
    };
    // They may come while the upstream is dialled.
    const trailers = new Trailers(stream, (sent) => objectOf(house.trailers(listOf(sent))));
    const rule = (ruling: Ruling) => {
      if (stream.destroyed) return;
      if ('answer' in ruling) return safely(stream, () => this.#give(stream, ruling.answer));
      clearTimeout(this.#timer);
      this.#stays.hold(ruling.admitted.stays);
      void this.#pass(stream, all, ruling.admitted, {isEnded, trailers});
    };
    const ruling = house.judge(raw, dial.visitor);
    if (ruling instanceof Promise) void ruling.then(rule, () => this.reset());
    else rule(ruling);
  }

  async #pass(
    stream: ServerHttp2Stream,
    asked: IncomingHttpHeaders,
    admitted: Admitted,
    {isEnded, trailers}: {isEnded: boolean; trailers: Trailers},
  ): Promise<void> {
    let out: ClientHttp2Stream;
    try {
      this.#upstream ??= this.#connect();
      const session = await this.#upstream;
      if (stream.destroyed) return;
      const {path, authority} = admitted;
      const pseudo = {
        ':method': asked[':method'],
        ':path': path,
        ':authority': authority,
        ':scheme': 'https',
      };
      // A body may end with trailers.
      out = session.request(
        {...pseudo, ...objectOf(admitted.headers), ...(asked.te !== undefined && {te: 'trailers'})},
        {endStream: isEnded, waitForTrailers: !isEnded},
      );
    } catch (error) {
      if (stream.destroyed) return;
      const why = error instanceof Error ? error : new Error('failed');
      const {line, dial} = this.#context;
      const answer = refusal(line.refusalFor(why, dial), {isNavigation: wantsPage(asked)});
      return safely(stream, () => this.#give(stream, answer));
    }
    trailers.passTo(out);
    stream.pipe(out);
    stream.once('close', () => out.close(stream.rstCode));
    this.#answer(stream, out, admitted);
  }

  #answer(stream: ServerHttp2Stream, out: ClientHttp2Stream, {setCookies}: Admitted): void {
    const {constants} = http2();
    const inform = (headers: OutgoingHttpHeaders) => {
      if (!stream.headersSent && !stream.destroyed) safely(stream, () => stream.additionalHeaders(headers));
    };
    out.on('continue', () => inform({':status': 100}));
    out.on('headers', (headers) => {
      if (headers[':status'] !== 100) inform(outgoing(headers));
    });
    const respond = (headers: IncomingHttpHeaders, flags: number) => {
      if (stream.destroyed) return void out.close();
      const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      const cookies =
        setCookies.length > 0 ? {'set-cookie': [...(headers['set-cookie'] ?? []), ...setCookies]} : {};
      stream.respond({...outgoing(headers), ...cookies}, {
        endStream,
        sendDate: false,
        waitForTrailers: !endStream,
      } as object);
      if (endStream) return this.#readOff(stream);
      new Trailers(out).passTo(stream, () => this.#readOff(stream));
      out.pipe(stream);
    };
    out.once('response', (headers, flags) => safely(stream, () => respond(headers, flags)));
    out.on('error', () => {});
    out.once('close', () => {
      if (stream.closed) return;
      if (out.rstCode !== constants.NGHTTP2_NO_ERROR) stream.close(out.rstCode);
      else if (!stream.headersSent) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
  }

  #give(stream: ServerHttp2Stream, answer: GateAnswer): void {
    give(stream, answer);
    this.#readOff(stream);
  }

  /**
   * The visitor has its answer, and nobody reads the rest of its request. A reset would stop it, but Node counts what comes after
   * a reset as memory of the session for ever. So it is read and thrown away, up to a limit.
   */
  #readOff(stream: ServerHttp2Stream): void {
    let bytes = 0;
    stream.unpipe();
    stream.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > MAX_UNREAD_BYTES) this.reset();
    });
    stream.resume();
  }

  #connect(): Promise<ClientHttp2Session> {
    const {line, dial} = this.#context;
    return new Promise((resolve, reject) => {
      this.#stopDial = line.dial({...dial, alpn: 'h2'}, (error, connection) => {
        if (connection === undefined) {
          // The next request tries again.
          this.#upstream = undefined;
          reject(error);
          return;
        }
        this.#connection = connection;
        const session = http2().connect('http://upstream', {
          createConnection: () => connection.socket,
          settings: {enablePush: false, initialWindowSize: WINDOW_BYTES, maxHeaderListSize: MAX_HEADER_BYTES},
          maxSessionMemory: SESSION_MEMORY_MB,
        });
        let isHttp2 = false;
        session.once('remoteSettings', () => {
          isHttp2 = true;
        });
        session.on('error', () => {});
        // The socket may be half open, and HTTP/2 has no use for that: the session would wait for ever.
        connection.socket.once('end', () => connection.socket.end(() => connection.socket.destroy()));
        // Its open streams go on; the visitor makes its next ones on another connection.
        session.once('goaway', () => this.#session.close());
        session.once('close', () => {
          if (this.#session.closed || this.#session.destroyed) return;
          if (!isHttp2) dial.onGateUnanswered?.('h2');
          this.#session.close();
        });
        resolve(session);
      });
    });
  }
}

/** Node checks what it sends. A message that it takes from one side and refuses to send ends this stream alone. */
function safely(stream: ServerHttp2Stream, act: () => void): void {
  try {
    act();
  } catch {
    stream.close(http2().constants.NGHTTP2_INTERNAL_ERROR);
  }
}

type AnyStream = ClientHttp2Stream | ServerHttp2Stream;

/** Trailers may come before anybody wants them. */
class Trailers {
  #headers: OutgoingHttpHeaders = {};

  /** @param pass those that may pass */
  constructor(from: AnyStream, pass = outgoing) {
    from.once('trailers', (headers) => {
      this.#headers = pass(headers);
    });
  }

  /** @param passed the stream is at its end */
  passTo(to: AnyStream, passed?: () => void): void {
    to.once('wantTrailers', () => {
      try {
        if (!to.destroyed) to.sendTrailers(this.#headers);
      } catch {
        to.close(http2().constants.NGHTTP2_INTERNAL_ERROR);
      }
      passed?.();
    });
  }
}

function give(stream: ServerHttp2Stream, {status, headers = {}, body = ''}: GateAnswer): void {
  const hasNone = body === '' || (stream as {headRequest?: boolean}).headRequest === true;
  stream.respond({':status': status, ...(headers as OutgoingHttpHeaders)}, {endStream: hasNone});
  if (!hasNone) stream.end(body);
}

const wantsPage = ({':method': method, accept = ''}: IncomingHttpHeaders): boolean =>
  method === 'GET' && /text\/html/i.test(accept);

/** Without pseudo-headers. */
function listOf(headers: IncomingHttpHeaders): string[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    if (name.startsWith(':') || value === undefined) return [];
    return (Array.isArray(value) ? value : [value]).flatMap((each) => [name, String(each)]);
  });
}

/** A name that comes again has a list of values. */
function objectOf(list: HeaderList): OutgoingHttpHeaders {
  const values = new Map<string, string[]>();
  for (let at = 0; at + 1 < list.length; at += 2) {
    const name = (list[at] as string).toLowerCase();
    values.set(name, [...(values.get(name) ?? []), list[at + 1] as string]);
  }
  return Object.fromEntries([...values].map(([name, all]) => [name, all.length === 1 ? all[0] : all]));
}

/** As they came, but for marks of Node's own. */
function outgoing(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers));
}
