// Streams that died while frames of theirs may still wait to be sent. The frames are dropped in one pass over the lanes,
// as soon as there may be so many of them that the pass is worth it.

import {FRAME} from '../protocol/wire.js';
import type {KeepFrame} from './lane.js';

/** Below this a pass is not worth its time. */
const LEAST_BYTES = 128 * 1024;
/** What a stream's frames without data take at the most: its OPEN, answers and ends. */
const FRAMES_BYTES = 512;

export class DeadStreams {
  readonly #ids = new Set<number>();
  /** At most so many of the waiting bytes are theirs. */
  #bytes = 0;

  /** @param sentBytes data that the stream was given to send in its whole life: no more of it can be waiting. */
  add(id: number, sentBytes: number): void {
    this.#ids.add(id);
    this.#bytes += sentBytes + FRAMES_BYTES;
  }

  /** Whether so much of what waits may be theirs that a pass over all of it pays. */
  areMany(waitingBytes: number): boolean {
    return this.#bytes >= LEAST_BYTES && this.#bytes >= waitingBytes / 2;
  }

  /** They have no frames among those that wait. */
  forget(): void {
    if (this.#bytes === 0) return;
    this.#ids.clear();
    this.#bytes = 0;
  }

  /**
   * Keeps the frames of the living, and the resets of streams that the peer knows. For one pass, in which the frames of each
   * stream come in order, its OPEN first.
   */
  keeper(): KeepFrame {
    /** Their OPENs have not left: the peer never hears of them. */
    const unknown = new Set<number>();
    return (type, streamId) => {
      if (!this.#ids.has(streamId)) return true;
      if (type === FRAME.open) unknown.add(streamId);
      return (type === FRAME.reset || type === FRAME.refused) && !unknown.has(streamId);
    };
  }
}
