// Streams that wait for permission to write, in order: those with little data first, then those that have waited longest.

import type {Clock} from '../core/clock.js';
import type {Stream} from './stream.js';

/** A bulk stream is expected to bring one read of this size, a quiet one at most its quiet amount. */
const READ_BYTES = 64 * 1024;
const QUIET_READ_BYTES = 16 * 1024;

export interface WriteTurnsOptions {
  clock: Clock;
  isQuiet: (stream: Stream) => boolean;
  /** The bytes that quiet streams may bring now, and the bytes for any stream. Zero or less: none. */
  room: () => {quiet: number; any: number};
}

export class WriteTurns {
  readonly #options: WriteTurnsOptions;
  readonly #quiet = new Set<Stream>();
  readonly #others = new Set<Stream>();
  #scheduled = false;

  constructor(options: WriteTurnsOptions) {
    this.#options = options;
  }

  /** Calls `stream.wake()` when the stream may write. */
  add(stream: Stream): void {
    (this.#options.isQuiet(stream) ? this.#quiet : this.#others).add(stream);
    this.schedule();
  }

  delete(stream: Stream): void {
    this.#quiet.delete(stream);
    this.#others.delete(stream);
  }

  clear(): void {
    this.#quiet.clear();
    this.#others.clear();
  }

  /** There may be room now. */
  schedule(): void {
    if (this.#scheduled || !this.#isAnybodysTurn()) return;
    this.#scheduled = true;
    this.#options.clock.soon(() => {
      this.#scheduled = false;
      this.#wake();
    });
  }

  #isAnybodysTurn(): boolean {
    if (this.#quiet.size === 0 && this.#others.size === 0) return false;
    const room = this.#options.room();
    return (this.#quiet.size > 0 && room.quiet > 0) || (this.#others.size > 0 && room.any > 0);
  }

  /** Wakes as many streams as there is room for; the next turn continues. */
  #wake(): void {
    const room = this.#options.room();
    wakeSome(this.#quiet, room.quiet, QUIET_READ_BYTES);
    wakeSome(this.#others, room.any, READ_BYTES);
    this.schedule();
  }
}

function wakeSome(streams: Set<Stream>, room: number, bytesEach: number): void {
  let left = room;
  for (const stream of streams) {
    if (left <= 0) return;
    streams.delete(stream);
    stream.wake();
    left -= bytesEach;
  }
}
