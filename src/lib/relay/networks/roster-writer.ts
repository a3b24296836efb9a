// The rosters of one reader. All readers share the buffer of a roster, and each piece is written when the stream takes it: no reader
// has a copy that waits, and the queue of a session bounds what a roster costs for all its readers there.

import type {Clock, Timer} from '../../core/clock.js';
import type {Stream} from '../../mux/stream.js';

/** One write. A session whose queue is full still takes this much of each quiet stream. */
const PIECE_BYTES = 16 * 1024;
/** A stream that takes no whole roster for this long over a link is not read, ms. */
const UNREAD_MS = 30_000;

export interface RosterWriterOptions {
  stream: Stream;
  clock: Clock;
  onUnread: () => void;
}

export class RosterWriter {
  readonly #options: RosterWriterOptions;
  /** False before `open` and after the end. */
  #isOpen = false;
  /** The part of the present roster that is not written, and the newest roster, which begins after it. */
  #rest: Buffer | undefined;
  #due: Buffer | undefined;
  #onLast: (() => void) | undefined;
  #unreadTimer: Timer | undefined;

  constructor(options: RosterWriterOptions) {
    this.#options = options;
  }

  /** Rosters may be written from now on. Of those that came before, the newest one is. */
  open(): void {
    this.#isOpen = true;
    this.goOn();
  }

  /** @param line with its line feed */
  show(line: Buffer): void {
    this.#due = line;
    this.goOn();
  }

  /** Writes what the stream takes now. For its `onWritable`. */
  goOn(): void {
    const {stream} = this.#options;
    while (this.#isOpen && stream.mayBegin()) {
      this.#rest ??= this.#next();
      if (this.#rest === undefined) return;
      const piece = this.#rest.subarray(0, Math.min(PIECE_BYTES, stream.sendRoom));
      this.#rest = piece.length < this.#rest.length ? this.#rest.subarray(piece.length) : undefined;
      stream.write(piece);
      if (this.#rest === undefined && this.#onLast !== undefined) this.#end(this.#onLast);
    }
    if (this.#isOpen && this.#onLast === undefined) this.#watchUnread();
  }

  /** No other roster begins. Calls `then` when the present one is written: no other line may come in between. */
  finish(then: () => void): void {
    this.#due = undefined;
    this.#watchNoMore();
    if (this.#rest === undefined) this.#end(then);
    else this.#onLast = then;
  }

  /** Nothing more is written. Idempotent. */
  close(): void {
    this.#isOpen = false;
    this.#rest = undefined;
    this.#due = undefined;
    this.#onLast = undefined;
    this.#watchNoMore();
  }

  #end(then: () => void): void {
    this.close();
    then();
  }

  /** The stream takes another roster, so it is read. */
  #next(): Buffer | undefined {
    this.#watchNoMore();
    const due = this.#due;
    this.#due = undefined;
    return due;
  }

  #watchUnread(): void {
    const {stream, clock, onUnread} = this.#options;
    this.#unreadTimer ??= clock.after(UNREAD_MS, () => {
      this.#unreadTimer = undefined;
      if (stream.linked) onUnread();
      else this.#watchUnread();
    });
  }

  #watchNoMore(): void {
    this.#unreadTimer?.cancel();
    this.#unreadTimer = undefined;
  }
}
