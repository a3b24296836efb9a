// The last output of a sandbox's command. It is always read, whatever its readers do, and never grows beyond its limit.

import {Moment} from '../core/moment.js';
import type {LogPiece} from './control.js';

export const KEPT_BYTES = 256 * 1024;
const FIRST_BYTES = 8 * 1024;
/** The most changes between stdout and stderr in the kept output: each costs memory, even for one byte. */
const MAX_RUNS = 2_048;
/** The longest piece for a reader. */
const PIECE_BYTES = 64 * 1024;

/** Bytes of one source, up to where the next run begins. */
interface Run {
  readonly from: LogPiece['from'];
  /** The count of all bytes before it. */
  readonly at: number;
}

export class OutputLog {
  readonly #keptBytes: number;
  /** The byte with the count n is at n modulo its length. It doubles up to the limit. */
  #ring = Buffer.alloc(0);
  #runs: Run[] = [];
  /** Counts of the first kept byte, and of all bytes. */
  #start = 0;
  #end = 0;
  #isOver = false;
  readonly #more = new Moment();

  constructor(keptBytes = KEPT_BYTES) {
    this.#keptBytes = keptBytes;
  }

  /** The number of bytes that were written so far. */
  get bytes(): number {
    return this.#end;
  }

  write(from: LogPiece['from'], piece: Buffer): void {
    if (this.#isOver || piece.length === 0) return;
    // Only the end stays of a piece that is longer than all that is kept.
    const skipped = Math.max(0, piece.length - this.#keptBytes);
    if (this.#runs.at(-1)?.from !== from) this.#runs.push({from, at: this.#end});
    this.#end += skipped;
    if (skipped > 0) this.#start = this.#end;
    const kept = skipped > 0 ? piece.subarray(skipped) : piece;
    this.#grow(kept.length);
    const at = this.#end % this.#ring.length;
    const first = Math.min(kept.length, this.#ring.length - at);
    kept.copy(this.#ring, at, 0, first);
    kept.copy(this.#ring, 0, first);
    this.#end += kept.length;
    this.#start = Math.max(this.#start, this.#end - this.#ring.length);
    this.#forgetRuns();
    this.#more.happen();
  }

  /** There will be no more: readers that follow come to their end. */
  close(): void {
    this.#isOver = true;
    this.#more.happen();
  }

  /**
   * The kept output; with `follow` also the later one. A reader that is too slow for the command loses bytes, and the next piece
   * says how many.
   */
  async *read({
    follow = false,
    signal,
  }: {
    follow?: boolean;
    signal?: AbortSignal;
  } = {}): AsyncGenerator<LogPiece> {
    const wake = () => this.#more.happen();
    signal?.addEventListener('abort', wake);
    try {
      let at = 0;
      for (;;) {
        if (signal?.aborted) return;
        if (at < this.#end) {
          const lost = Math.max(0, this.#start - at);
          const piece = this.#pieceAt(at + lost);
          at += lost + piece.bytes.length;
          yield lost > 0 ? {...piece, lostBytes: lost} : piece;
        } else if (follow && !this.#isOver) await this.#more.next();
        else return;
      }
    } finally {
      signal?.removeEventListener('abort', wake);
    }
  }

  #pieceAt(at: number): LogPiece {
    const index = this.#runs.findLastIndex((run) => run.at <= at);
    const run = this.#runs[index] as Run;
    const end = Math.min(this.#runs[index + 1]?.at ?? this.#end, at + PIECE_BYTES);
    const bytes = Buffer.allocUnsafe(end - at);
    const from = at % this.#ring.length;
    const first = Math.min(bytes.length, this.#ring.length - from);
    this.#ring.copy(bytes, 0, from, from + first);
    this.#ring.copy(bytes, first, 0, bytes.length - first);
    return {from: run.from, bytes};
  }

  #grow(bytes: number): void {
    const needed = Math.min(this.#keptBytes, this.#end - this.#start + bytes);
    if (needed <= this.#ring.length) return;
    let length = Math.max(FIRST_BYTES, this.#ring.length);
    while (length < needed) length *= 2;
    const larger = Buffer.alloc(Math.min(this.#keptBytes, length));
    for (let at = this.#start; at < this.#end; ) {
      const {bytes: piece} = this.#pieceAt(at);
      const to = at % larger.length;
      const first = Math.min(piece.length, larger.length - to);
      piece.copy(larger, to, 0, first);
      piece.copy(larger, 0, first);
      at += piece.length;
    }
    this.#ring = larger;
  }

  #forgetRuns(): void {
    if (this.#runs.length > MAX_RUNS) {
      this.#runs = this.#runs.slice(-MAX_RUNS / 2);
      this.#start = Math.max(this.#start, (this.#runs[0] as Run).at);
    }
    // The run of the first kept byte stays.
    let old = 0;
    while ((this.#runs[old + 1]?.at ?? Number.POSITIVE_INFINITY) <= this.#start) old += 1;
    if (old > 0) this.#runs.splice(0, old);
  }
}
