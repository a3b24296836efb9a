// Lines of JSON in a byte stream, with a limit for each: a peer that never ends its line gets an error, not memory.

import {MalformedMessage} from './fields.js';

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);
const FIRST_BYTES = 1_024;

/** Pull parser. Its memory is at most the limit and the largest piece. */
export class LineReader {
  readonly #limit: number;
  #bytes: Buffer = NOTHING;
  #start = 0;
  #end = 0;
  /** No newline is before this position. */
  #scanned = 0;

  /** @param limit bytes of one line, without its newline. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes that came and were not returned yet. */
  get bytes(): number {
    return this.#end - this.#start;
  }

  /** Copies the piece. */
  push(piece: Uint8Array): void {
    this.#makeRoom(piece.length);
    this.#bytes.set(piece, this.#end);
    this.#end += piece.length;
  }

  /** The next whole line without its newline, or undefined. @throws MalformedMessage for a longer line than the limit. */
  next(): Buffer | undefined {
    const found = this.#bytes.subarray(0, this.#end).indexOf(NEWLINE, this.#scanned);
    const end = found === -1 ? this.#end : found;
    if (end - this.#start > this.#limit)
      throw new MalformedMessage(`a line of more than ${this.#limit} bytes`);
    if (found === -1) {
      this.#scanned = this.#end;
      return undefined;
    }
    const line = Buffer.from(this.#bytes.subarray(this.#start, found));
    this.#start = found + 1;
    this.#scanned = this.#start;
    return line;
  }

  /** Takes everything that was not returned. */
  rest(): Buffer {
    const rest = Buffer.from(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = NOTHING;
    this.#start = 0;
    this.#end = 0;
    this.#scanned = 0;
    return rest;
  }

  #makeRoom(more: number): void {
    if (this.#end + more <= this.#bytes.length) return;
    const used = this.bytes;
    const size = Math.max(used + more, Math.min(2 * this.#bytes.length, this.#limit), FIRST_BYTES);
    const bytes = size <= this.#bytes.length ? this.#bytes : Buffer.allocUnsafe(size);
    this.#bytes.copy(bytes, 0, this.#start, this.#end);
    this.#bytes = bytes;
    this.#scanned -= this.#start;
    this.#start = 0;
    this.#end = used;
  }
}

export function encodeLine(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
