// Finds the first message of a TLS connection, the ClientHello, in pieces of any size.
//
// Pure and without I/O: bytes go in, a result comes out, and the caller has the time limit. The result is the same for every
// split over TCP segments and TLS records. An incomplete hello gives no result, in particular not "no name":
// an unfinished hello must not be sent to a default route.

import {giveBack} from './give-back.js';
import {parseClientHello} from './parse-client-hello.js';

/**
 * The limit for all bytes of the hello, with record headers. Today's post-quantum hellos have 1.7 to 2 KiB,
 * with several key shares, long tickets and ECH 4 to 8 KiB; OpenSSL itself refuses more than 128 KiB.
 */
export const MAX_CLIENT_HELLO_BYTES = 65_536;

/** The reason why these bytes are not a usable ClientHello. */
export type ClientHelloRefusal =
  /** An HTTP request without TLS. */
  | 'http'
  /** A hello in the form of SSL 2.0. */
  | 'sslv2'
  /** Neither TLS nor another known protocol. */
  | 'not-tls'
  /** TLS, but the first message has another type. */
  | 'not-hello'
  /** A record without content: never needed, and it costs the sender nearly nothing. */
  | 'empty-record'
  | 'too-large'
  /** A length that does not fit, or a structure that TLS does not allow. */
  | 'malformed'
  /** Two server names, or an invalid host name. */
  | 'server-name';

export interface ClientHello {
  state: 'hello';
  /** Lower case, without a trailing dot. Undefined: the visitor sent no name, or an IP address. */
  serverName: string | undefined;
  /** In the offered order. Names that are not text (GREASE) are decoded as Latin-1. */
  alpn: string[];
}

/** The final result for a connection. */
export type ClientHelloAnswer = ClientHello | {state: 'refused'; reason: ClientHelloRefusal};

export type ClientHelloResult = {state: 'need-more'} | ClientHelloAnswer;

const RECORD_HEADER = 5;
const RECORD_HANDSHAKE = 22;
/** RFC 8446 §5.1. */
const MAX_RECORD = 16_384;
const MESSAGE_HEADER = 4;
const MESSAGE_CLIENT_HELLO = 1;

const HTTP_STARTS = [
  'GET ',
  'HEAD ',
  'POST ',
  'PUT ',
  'PATCH ',
  'DELETE ',
  'OPTIONS ',
  'CONNECT ',
  'TRACE ',
  'PRI * HTTP',
];

const NEED_MORE: ClientHelloResult = {state: 'need-more'};
const refused = (reason: ClientHelloRefusal): ClientHelloResult => ({state: 'refused', reason});

export class ClientHelloReader {
  /** All input; the first chunk itself while there is only one. */
  #raw: Buffer = Buffer.alloc(0);
  #length = 0;
  /** `#raw` was allocated here. */
  #grown = false;
  /** The position up to which `#raw` has been read. No byte is read twice, even if the pieces are small. */
  #position = 0;
  #recordLeft = 0;
  /** The positions of the message in `#raw`: one [start, end) for each record. */
  readonly #spans: {start: number; end: number}[] = [];
  /** Bytes of the message so far, with its header. */
  #have = 0;
  /** Bytes of the whole message, as far as its header has come. */
  #want = MESSAGE_HEADER;
  #result: ClientHelloResult = NEED_MORE;

  /** All bytes so far, for the code that terminates TLS. */
  get bytes(): Buffer {
    return this.#raw.subarray(0, this.#length);
  }

  /** The number of bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** Frees the buffer, also when it is the first chunk. */
  release(): void {
    giveBack(this.#raw);
    this.#raw = Buffer.alloc(0);
    this.#length = 0;
  }

  /** Adds the next bytes, any number of them. A result of `hello` or `refused` is final. Never throws. */
  push(chunk: Buffer): ClientHelloResult {
    this.#append(chunk);
    if (this.#result.state === 'need-more') this.#result = this.#advance();
    return this.#result;
  }

  #append(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (this.#length === 0) {
      this.#raw = chunk;
    } else if (length <= this.#raw.length) {
      chunk.copy(this.#raw, this.#length);
    } else {
      // The buffer doubles, so a hello in one-byte pieces is copied a few times and not once for each byte. Its size follows
      // the received bytes, never an announced length.
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * length, 1024));
      this.#raw.copy(grown, 0, 0, this.#length);
      chunk.copy(grown, this.#length);
      // The first chunk belongs to the caller as well.
      if (this.#grown) giveBack(this.#raw);
      this.#grown = true;
      this.#raw = grown;
    }
    this.#length = length;
  }

  #advance(): ClientHelloResult {
    const end = Math.min(this.#length, MAX_CLIENT_HELLO_BYTES);
    if (this.#position === 0) {
      const kind = sniff(this.#raw.subarray(0, end));
      if (kind === 'wait') return NEED_MORE;
      if (kind !== 'tls') return refused(kind);
    }
    for (;;) {
      if (this.#recordLeft > 0) {
        if (this.#position === end) break;
        const reason = this.#takeContent(end);
        if (reason !== undefined) return refused(reason);
        if (this.#have >= this.#want) return this.#finish();
      } else {
        if (end - this.#position < RECORD_HEADER) break;
        const reason = this.#takeRecordHeader();
        if (reason !== undefined) return refused(reason);
      }
    }
    return end === MAX_CLIENT_HELLO_BYTES ? refused('too-large') : NEED_MORE;
  }

  #takeRecordHeader(): ClientHelloRefusal | undefined {
    const at = this.#position;
    if (this.#raw[at] !== RECORD_HANDSHAKE || this.#raw[at + 1] !== 3) return 'malformed';
    const length = this.#raw.readUInt16BE(at + 3);
    if (length === 0) return 'empty-record';
    if (length > MAX_RECORD) return 'malformed';
    this.#position += RECORD_HEADER;
    this.#recordLeft = length;
    return undefined;
  }

  #takeContent(end: number): ClientHelloRefusal | undefined {
    const start = this.#position;
    const stop = Math.min(end, start + this.#recordLeft);
    for (let at = start; at < stop && this.#have + (at - start) < MESSAGE_HEADER; at += 1) {
      const byte = this.#raw[at] ?? 0;
      const index = this.#have + (at - start);
      if (index === 0 && byte !== MESSAGE_CLIENT_HELLO) return 'not-hello';
      if (index > 0) this.#want += byte * 2 ** (8 * (MESSAGE_HEADER - 1 - index));
      if (this.#want > MAX_CLIENT_HELLO_BYTES) return 'too-large';
    }
    const last = this.#spans.at(-1);
    if (last?.end === start) last.end = stop;
    else this.#spans.push({start, end: stop});
    this.#have += stop - start;
    this.#recordLeft -= stop - start;
    this.#position = stop;
    return undefined;
  }

  #finish(): ClientHelloResult {
    const parts = this.#spans.map(({start, end}) => this.#raw.subarray(start, end));
    const [first] = parts;
    const message = parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
    return parseClientHello(message.subarray(MESSAGE_HEADER, this.#want));
  }
}

/** Classifies the first bytes; `wait` until that is possible. */
function sniff(bytes: Buffer): 'wait' | 'tls' | ClientHelloRefusal {
  const [first, second, third] = bytes;
  if (first === undefined) return 'wait';
  if (first === RECORD_HANDSHAKE) return second === undefined || second === 3 ? 'tls' : 'not-tls';
  // SSL 2.0: a 15-bit length with the top bit set, then the message type.
  if (first >= 0x80)
    return third === undefined ? 'wait' : third === MESSAGE_CLIENT_HELLO ? 'sslv2' : 'not-tls';
  const text = bytes.toString('latin1', 0, 16);
  if (HTTP_STARTS.some((start) => text.startsWith(start))) return 'http';
  return HTTP_STARTS.some((start) => start.startsWith(text)) ? 'wait' : 'not-tls';
}
