// Reads frames from the session's bytes, which continue across carriers: DATA is passed on at once, other frames are
// gathered.

import {
  FRAME,
  FRAME_HEADER,
  type FrameType,
  frameLimit,
  readStreamId,
  shortestFrame,
} from '../protocol/wire.js';
import {DATA_UNITS, spendOnFrame, unlimited, type WorkLeft} from './work.js';

export interface FrameSink {
  /** A DATA frame begins: `onData` gets the `length` bytes of it. False: they are read and discarded. */
  onDataStart(streamId: number, length: number): boolean;
  /** A piece of the current DATA frame, a view of the input chunk. */
  onData(piece: Buffer): void;
  /** A whole frame other than DATA. `payload` is the sink's. */
  onFrame(type: number, streamId: number, payload: Buffer): void;
  onViolation(reason: string): void;
}

const NOTHING = Buffer.alloc(0);

/** One for each session: its state outlives carriers, so the next carrier completes a frame that the last one cut. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #rare: readonly number[];
  readonly #header = Buffer.alloc(FRAME_HEADER);
  #headerFill = 0;
  #left = 0;
  #type = 0;
  #streamId = 0;
  #payload: Buffer | undefined;
  #wanted = false;
  #stopped = false;

  /** @param rare types of frames that an honest peer sends rarely. */
  constructor(sink: FrameSink, rare: readonly FrameType[] = []) {
    this.#sink = sink;
    this.#rare = rare;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Returns how many bytes were taken: fewer than came when `work` is used up. Bytes after a violation count as taken. */
  push(chunk: Buffer, work: WorkLeft = unlimited()): number {
    // A frame that comes in pieces is several writes to a socket.
    if (this.#left > 0 && this.#payload === undefined) work.left -= DATA_UNITS;
    let at = 0;
    while (at < chunk.length) {
      if (this.#stopped) return chunk.length;
      if (this.#left === 0) {
        if (work.left <= 0) return at;
        at = this.#readHeader(chunk, at, work);
        continue;
      }
      const end = Math.min(chunk.length, at + this.#left);
      const piece = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end);
      this.#left -= end - at;
      at = end;
      if (this.#payload !== undefined) this.#gather(this.#payload, piece);
      else if (this.#wanted) this.#sink.onData(piece);
    }
    return at;
  }

  #readHeader(chunk: Buffer, from: number, work: WorkLeft): number {
    let at = from;
    let header: Buffer = this.#header;
    let offset = 0;
    if (this.#headerFill === 0 && chunk.length - at >= FRAME_HEADER) {
      header = chunk;
      offset = at;
      at += FRAME_HEADER;
    } else {
      while (this.#headerFill < FRAME_HEADER && at < chunk.length) {
        this.#header[this.#headerFill++] = chunk[at++] as number;
      }
      if (this.#headerFill < FRAME_HEADER) return at;
      this.#headerFill = 0;
    }
    const word = header.readUInt32BE(offset);
    this.#type = word >>> 24;
    this.#streamId = readStreamId(header, offset);
    if (this.#type === FRAME.data) work.left -= DATA_UNITS;
    else spendOnFrame(work, this.#type, this.#rare.includes(this.#type));
    return this.#begin(word & 0xff_ffff) ? at : chunk.length;
  }

  #begin(length: number): boolean {
    const type = this.#type;
    const limit = frameLimit(type);
    if (limit === undefined) return this.#violate(`frame type ${type} does not exist`);
    if (length > limit || length < shortestFrame(type))
      return this.#violate(`a frame of type ${type} cannot have ${length} bytes`);
    if ((type === FRAME.control) !== (this.#streamId === 0)) {
      return this.#violate(`a frame of type ${type} cannot be on stream ${this.#streamId}`);
    }
    if (type === FRAME.data) {
      this.#left = length;
      this.#wanted = this.#sink.onDataStart(this.#streamId, length);
      return !this.#stopped;
    }
    if (length === 0) {
      this.#sink.onFrame(type, this.#streamId, NOTHING);
      return !this.#stopped;
    }
    this.#left = length;
    this.#payload = Buffer.allocUnsafe(length);
    return true;
  }

  #gather(payload: Buffer, piece: Buffer): void {
    piece.copy(payload, payload.length - this.#left - piece.length);
    if (this.#left > 0) return;
    this.#payload = undefined;
    this.#sink.onFrame(this.#type, this.#streamId, payload);
  }

  #violate(reason: string): false {
    this.#stopped = true;
    this.#sink.onViolation(reason);
    return false;
  }
}
