// Reads records out of a carrier's bytes: session bytes pass straight through, the short records are gathered.

import {RECORD, RECORD_HEADER, recordLimit, shortestRecord} from '../protocol/wire.js';

export interface RecordSink {
  /** Session bytes, in order, as views of the chunk that came. */
  onSegmentBytes(piece: Buffer): void;
  /** A whole record other than SEGMENT. `payload` is the sink's. */
  onRecord(type: number, payload: Buffer): void;
  onViolation(reason: string): void;
}

/** One for each carrier. Any chunk boundaries give the same calls. */
export class RecordReader {
  readonly #sink: RecordSink;
  readonly #header = Buffer.alloc(RECORD_HEADER);
  #headerFill = 0;
  /** Bytes of the current payload still to come. */
  #left = 0;
  #type = 0;
  #payload: Buffer | undefined;
  #stopped = false;

  constructor(sink: RecordSink) {
    this.#sink = sink;
  }

  /** Nothing is delivered after this, not even the rest of the chunk being read. */
  stop(): void {
    this.#stopped = true;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#left === 0) {
        at = this.#readHeader(chunk, at);
        continue;
      }
      const end = Math.min(chunk.length, at + this.#left);
      const piece = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end);
      this.#left -= end - at;
      at = end;
      if (this.#payload === undefined) this.#sink.onSegmentBytes(piece);
      else this.#gather(this.#payload, piece);
    }
  }

  #readHeader(chunk: Buffer, from: number): number {
    let at = from;
    while (this.#headerFill < RECORD_HEADER && at < chunk.length) {
      this.#header[this.#headerFill++] = chunk[at++] as number;
    }
    if (this.#headerFill < RECORD_HEADER) return at;
    this.#headerFill = 0;
    this.#type = this.#header[0] as number;
    const length = this.#header.readUIntBE(1, 3);
    const limit = recordLimit(this.#type);
    if (limit === undefined) return this.#violate(`record type ${this.#type} does not exist`, chunk);
    if (length > limit || length < shortestRecord(this.#type)) {
      return this.#violate(`a record of type ${this.#type} cannot have ${length} bytes`, chunk);
    }
    this.#left = length;
    this.#payload = this.#type === RECORD.segment ? undefined : Buffer.allocUnsafe(length);
    return at;
  }

  #gather(payload: Buffer, piece: Buffer): void {
    piece.copy(payload, payload.length - this.#left - piece.length);
    if (this.#left > 0) return;
    this.#payload = undefined;
    this.#sink.onRecord(this.#type, payload);
  }

  #violate(reason: string, chunk: Buffer): number {
    this.#stopped = true;
    this.#sink.onViolation(reason);
    return chunk.length;
  }
}
