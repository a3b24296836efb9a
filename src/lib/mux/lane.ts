// Frames that wait for their position in the session's bytes, in order, packed into segments of shared blocks.

import {FRAME_HEADER, readFrameLength, readStreamId} from '../protocol/wire.js';
import {BLOCK_BYTES, type Block, type BlockPool} from './blocks.js';

/** Free bytes in front of every segment, for the headers of the record layer and the carrier, written in place. */
export const HEADER_ROOM = 48;

/** With less room than this left in a lane's block, a frame gets a new block. */
const MIN_ROOM = 4 * 1024;

/** A contiguous run of whole frames in one block. */
export interface Segment {
  block: Block;
  start: number;
  end: number;
}

/** The place for a frame of the requested size. */
export interface Place {
  buffer: Buffer;
  at: number;
  /** The number of bytes given: the requested number, or less when the caller allows it. */
  length: number;
}

/** Decides about a waiting frame. @returns whether it stays. */
export type KeepFrame = (type: number, streamId: number, length: number) => boolean;

export class Lane {
  readonly #pool: BlockPool;
  /** The block that the next frame goes to, if it fits. */
  #current: Block | undefined;
  #waiting: Segment[] = [];
  #bytes = 0;
  /** Segments that ever came in, and the number of them that have left. */
  #appended = 0;
  #taken = 0;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The mark of a frame written now; compare with `isWaiting`. */
  get mark(): number {
    return this.#appended;
  }

  isWaiting(mark: number): boolean {
    return mark > this.#taken;
  }

  /** Claims room for a frame at the end. With `least` < `most` the frame may be cut to what the current block still has. */
  claim(most: number, least = most): Place {
    let block = this.#current;
    const last = this.#waiting.at(-1);
    if (block !== undefined && last !== undefined && last.block === block && last.end === block.used) {
      const room = BLOCK_BYTES - last.end;
      if (room >= most || room >= Math.max(least, MIN_ROOM)) return this.#extend(last, Math.min(most, room));
    }
    if (block !== undefined) {
      const room = BLOCK_BYTES - block.used - HEADER_ROOM;
      if (room < most && room < Math.max(least, MIN_ROOM)) {
        block.release();
        block = undefined;
      }
    }
    if (block === undefined) {
      block = this.#pool.take();
      this.#current = block;
    }
    const start = block.used + HEADER_ROOM;
    block.hold();
    block.used = start;
    const segment: Segment = {block, start, end: start};
    this.#append(segment);
    return this.#extend(segment, Math.min(most, BLOCK_BYTES - start));
  }

  /** Takes over a block whose frames are at [HEADER_ROOM, end). The caller's hold passes to the lane. */
  adopt(block: Block, end: number): void {
    block.used = end;
    this.#bytes += end - HEADER_ROOM;
    this.#append({block, start: HEADER_ROOM, end});
  }

  /** Removes and returns the oldest segment; the caller gets the hold on its block. */
  take(): Segment | undefined {
    const segment = this.#waiting.shift();
    if (segment === undefined) return undefined;
    this.#bytes -= segment.end - segment.start;
    this.#taken += 1;
    return segment;
  }

  /** Removes and returns all segments. */
  takeAll(): readonly Segment[] {
    const all = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#taken = this.#appended;
    return all;
  }

  /**
   * Drops the frames that `keep` does not keep; the others are copied into as few blocks as possible. The marks of streams
   * with frames here change: `onKept` gives each stream its new mark; its last call for a stream counts.
   */
  rewrite(keep: KeepFrame, onKept: (streamId: number, mark: number) => void): void {
    const old = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#appended = this.#taken;
    this.giveBack();
    for (const {block, start, end} of old) {
      const {buffer} = block;
      let at = start;
      while (at < end) {
        const length = FRAME_HEADER + readFrameLength(buffer, at);
        const streamId = readStreamId(buffer, at);
        if (keep(buffer[at] ?? 0, streamId, length)) {
          const place = this.claim(length);
          buffer.copy(place.buffer, place.at, at, at + length);
          onKept(streamId, this.#appended);
        }
        at += length;
      }
      block.release();
    }
  }

  /** Releases the current block of an idle lane. */
  giveBack(): void {
    if (this.#waiting.length > 0 || this.#current === undefined) return;
    this.#current.release();
    this.#current = undefined;
  }

  /** Returns everything to the pool. */
  clear(): void {
    for (const segment of this.takeAll()) segment.block.release();
    this.giveBack();
  }

  #append(segment: Segment): void {
    this.#waiting.push(segment);
    this.#appended += 1;
  }

  #extend(segment: Segment, length: number): Place {
    const at = segment.end;
    segment.end += length;
    segment.block.used = segment.end;
    this.#bytes += length;
    return {buffer: segment.block.buffer, at, length};
  }
}
