// The bytes of a stream of kind `datagram`: datagrams one after the other, each with its length before it.

import {MalformedMessage} from './fields.js';

/** The most bytes of one datagram: UDP over IPv4 carries no more. */
export const MAX_DATAGRAM = 65_507;

const LENGTH_BYTES = 2;
const NOTHING = Buffer.alloc(0);

/** The longest datagram with its length. */
export const MAX_DATAGRAM_FRAME = LENGTH_BYTES + MAX_DATAGRAM;

/** @param datagram of at most MAX_DATAGRAM bytes. An empty one is a datagram, too. */
export function encodeDatagram(datagram: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + datagram.length);
  frame.writeUInt16BE(datagram.length, 0);
  datagram.copy(frame, LENGTH_BYTES);
  return frame;
}

/** Cuts the bytes of a stream into datagrams. */
export class DatagramReader {
  readonly #most: number;
  readonly #pieces: Buffer[] = [];
  /** Bytes of the first piece that were given out. */
  #at = 0;
  #buffered = 0;

  constructor(most = MAX_DATAGRAM) {
    this.#most = most;
  }

  /** Bytes that `next` has not given out yet. */
  get buffered(): number {
    return this.#buffered;
  }

  push(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#buffered += piece.length;
  }

  /** The next whole datagram; undefined: it has not come yet. @throws MalformedMessage it is too long */
  next(): Buffer | undefined {
    const length = this.#peek(LENGTH_BYTES)?.readUInt16BE(0);
    if (length === undefined) return undefined;
    if (length > this.#most) throw new MalformedMessage(`a datagram of ${length} bytes`);
    const frame = this.#peek(LENGTH_BYTES + length);
    if (frame === undefined) return undefined;
    this.#skip(frame.length);
    return frame.subarray(LENGTH_BYTES);
  }

  /** The next `bytes` as one piece. They are not given out yet. */
  #peek(bytes: number): Buffer | undefined {
    if (this.#buffered < bytes) return undefined;
    const [first = NOTHING] = this.#pieces;
    if (first.length - this.#at >= bytes) return first.subarray(this.#at, this.#at + bytes);
    let joined = first.length - this.#at;
    let count = 1;
    while (joined < bytes) joined += this.#pieces[count++]?.length ?? 0;
    const [, ...more] = this.#pieces.splice(0, count);
    this.#pieces.unshift(Buffer.concat([first.subarray(this.#at), ...more]));
    this.#at = 0;
    return this.#pieces[0]?.subarray(0, bytes);
  }

  #skip(bytes: number): void {
    this.#buffered -= bytes;
    this.#at += bytes;
    if (this.#at < (this.#pieces[0]?.length ?? 0)) return;
    this.#pieces.shift();
    this.#at = 0;
  }
}
