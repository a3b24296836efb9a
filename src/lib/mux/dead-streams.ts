// Notes streams that died while their frames may still wait to be sent. One pass over the lanes drops these frames, as soon
// as enough of them may wait to justify the pass.

import {FRAME} from '../protocol/wire.js';
import type {KeepFrame} from './lane.js';

/** Below this a pass is not worth its time. */
const LEAST_BYTES = 128 * 1024;
/** The most bytes of a stream's frames without data: its OPEN, answers and ends. */
const FRAMES_BYTES = 512;

export class DeadStreams {
  readonly #ids = new Set<number>();
  /** The most bytes that may wait for dead streams. */
  #bytes = 0;

  /** @param sentBytes data that the stream has sent in its whole life; no more than this can wait. */
  add(id: number, sentBytes: number): void {
    this.#ids.add(id);
    this.#bytes += sentBytes + FRAMES_BYTES;
  }

  /** True when a large enough part of the waiting bytes may belong to dead streams. */
  areMany(waitingBytes: number): boolean {
    return this.#bytes >= LEAST_BYTES && this.#bytes >= waitingBytes / 2;
  }

  /** No frames of dead streams wait any more. */
  forget(): void {
    if (this.#bytes === 0) return;
    this.#ids.clear();
    this.#bytes = 0;
  }

  /**
   * Keeps the frames of living streams, and the resets of streams that the peer knows. It is for one pass, in which the frames
   * of each stream come in order, with OPEN first.
   */
  keeper(): KeepFrame {
    /** Streams whose OPEN was not sent: the peer never sees them. */
    const unknown = new Set<number>();
    return (type, streamId) => {
      if (!this.#ids.has(streamId)) return true;
      if (type === FRAME.open) unknown.add(streamId);
      return (type === FRAME.reset || type === FRAME.refused) && !unknown.has(streamId);
    };
  }
}
