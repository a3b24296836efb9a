// Reads records from a carrier's bytes: session bytes are passed on at once, short records are gathered.

import {RECORD, RECORD_HEADER, recordLimit, shortestRecord} from '../protocol/wire.js';
import {spendOnRecord, unlimited, type WorkLeft} from './work.js';

export interface RecordSink {
  /** Session bytes, in order, as views of the input chunk; `work.unread` of them come again. */
  onSegmentBytes(piece: Buffer, work: WorkLeft): void;
  /** A whole record other than SEGMENT. `payload` is the sink's. */
  onRecord(type: number, payload: Buffer): void;
  onViolation(reason: string): void;
}

/** One for each carrier. Any chunk boundaries give the same calls. */
export class RecordReader {
  readonly #sink: RecordSink;
  readonly #header = Buffer.alloc(RECORD_HEADER);
  #headerFill = 0;
  /** Bytes of the current payload that are still to come. */
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

  /** Returns how many bytes were taken: fewer than came when `work` is used up. Bytes after a violation count as taken. */
  push(chunk: Buffer, work: WorkLeft = unlimited()): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#stopped) return chunk.length;
      if (this.#left === 0) {
        if (work.left <= 0 || this.#isHeld(chunk[at], work)) return at;
        at = this.#readHeader(chunk, at, work);
        continue;
      }
      const end = Math.min(chunk.length, at + this.#left);
      const piece = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end);
      this.#left -= end - at;
      at = end;
      if (this.#payload !== undefined) {
        this.#gather(this.#payload, piece);
        continue;
      }
      this.#sink.onSegmentBytes(piece, work);
      const {unread} = work;
      if (unread === 0) continue;
      work.unread = 0;
      this.#left += unread;
      return at - unread;
    }
    return at;
  }

  /** A message whose type came alone in an earlier chunk is not held: its byte is taken. */
  #isHeld(type: number | undefined, work: WorkLeft): boolean {
    return type === RECORD.message && this.#headerFill === 0 && work.holdsMessage?.() === true;
  }

  #readHeader(chunk: Buffer, from: number, work: WorkLeft): number {
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
    spendOnRecord(work, this.#type);
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
