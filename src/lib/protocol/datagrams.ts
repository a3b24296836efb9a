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

/** The least memory for an unfinished datagram. */
const FIRST_BYTES = 1_024;

/** Cuts the bytes of a stream into datagrams. */
export class DatagramReader {
  readonly #most: number;
  /** An unfinished datagram with its length, after `keep`. While it is unfinished there are no pieces. */
  #kept: Buffer = NOTHING;
  #keptBytes = 0;
  readonly #pieces: Buffer[] = [];
  /** Bytes of the first piece that were given out. */
  #at = 0;
  #buffered = 0;

  constructor(most = MAX_DATAGRAM) {
    this.#most = most;
  }

  /** Bytes of pieces that `next` has not given out yet. */
  get buffered(): number {
    return this.#buffered;
  }

  push(piece: Buffer): void {
    const rest = this.#keptBytes > 0 ? this.#complete(piece) : piece;
    if (rest.length === 0) return;
    this.#pieces.push(rest);
    this.#buffered += rest.length;
  }

  /**
   * Copies the unfinished datagram that is left when `next` has found no whole one. Its pieces, and what they keep in memory,
   * are free then. The copy grows with what comes, not with the length that is announced.
   */
  keep(): void {
    const [first = NOTHING, ...more] = this.#pieces.splice(0);
    for (const piece of [first.subarray(this.#at), ...more]) this.#complete(piece);
    this.#at = 0;
    this.#buffered = 0;
  }

  /** The next whole datagram; undefined: it has not come yet. @throws MalformedMessage it is too long */
  next(): Buffer | undefined {
    if (this.#keptBytes > 0) return this.#takeKept();
    const length = this.#peek(LENGTH_BYTES)?.readUInt16BE(0);
    if (length === undefined) return undefined;
    this.#check(length);
    const frame = this.#peek(LENGTH_BYTES + length);
    if (frame === undefined) return undefined;
    this.#skip(frame.length);
    return frame.subarray(LENGTH_BYTES);
  }

  #check(length: number): void {
    if (length > this.#most) throw new MalformedMessage(`a datagram of ${length} bytes`);
  }

  #takeKept(): Buffer | undefined {
    if (this.#keptBytes >= LENGTH_BYTES) this.#check(this.#kept.readUInt16BE(0));
    if (this.#lacking() > 0) return undefined;
    const datagram = this.#kept.subarray(LENGTH_BYTES, this.#keptBytes);
    this.#kept = NOTHING;
    this.#keptBytes = 0;
    return datagram;
  }

  /** Bytes that the kept datagram needs, or its length. */
  #lacking(): number {
    if (this.#keptBytes < LENGTH_BYTES) return LENGTH_BYTES - this.#keptBytes;
    return LENGTH_BYTES + Math.min(this.#kept.readUInt16BE(0), this.#most) - this.#keptBytes;
  }

  /** Copies what the kept datagram needs. Returns the rest. */
  #complete(piece: Buffer): Buffer {
    let at = 0;
    while (at < piece.length && this.#lacking() > 0) {
      const end = Math.min(piece.length, at + this.#lacking());
      this.#reserve(this.#keptBytes + end - at);
      piece.copy(this.#kept, this.#keptBytes, at, end);
      this.#keptBytes += end - at;
      at = end;
    }
    return piece.subarray(at);
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#kept.length) return;
    const size = Math.min(Math.max(bytes, 2 * this.#kept.length, FIRST_BYTES), MAX_DATAGRAM_FRAME);
    const larger = Buffer.allocUnsafeSlow(size);
    this.#kept.copy(larger, 0, 0, this.#keptBytes);
    this.#kept = larger;
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
