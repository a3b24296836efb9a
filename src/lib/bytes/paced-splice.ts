// A splice whose bytes wait for their turn when a limit of bandwidth is reached. A splice without such a limit is another class
// and pays nothing.

import type {Socket} from 'node:net';
import type {Stream} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';
import {Lane, type Rate} from './pace.js';
import {stopReading} from './reading.js';
import {BROKEN, Splice, type SpliceOptions} from './splice.js';

export class PacedSplice extends Splice {
  readonly #source: Stream;
  #reader: Socket | undefined;
  readonly #up: Lane;
  readonly #down: Lane;
  /** Bytes for the socket that wait for their turn. Their credit is given when they have left the socket, as always. */
  #waiting: Buffer[] = [];
  #endWaits = false;
  #resetWaits: StreamCode | undefined;
  /** The socket is not read until its turn. */
  #paused = false;

  constructor(options: SpliceOptions, rates: readonly Rate[]) {
    super({
      ...options,
      // The options may be an object of a class, whose methods are not copied.
      reset: () => options.reset(),
      onDone: (code) => {
        this.#over();
        options.onDone(code);
      },
    });
    this.#source = options.stream;
    this.#up = new Lane(rates, () => this.#readAgain());
    this.#down = new Lane(rates, () => this.#pass());
  }

  /** Only for sockets with `data` events. */
  override join(socket: Socket): void {
    this.#reader = socket;
    super.join(socket);
    if (this.done) return;
    socket.on('data', this.#onRead);
    this.#waitToRead();
  }

  override cut(code: StreamCode): void {
    this.#waiting = [];
    super.cut(code);
  }

  override onData(piece: Buffer): void {
    if (this.#waiting.length === 0 && this.#down.free) {
      this.#down.spend(piece.length);
      super.onData(piece);
      return;
    }
    this.#waiting.push(piece);
    this.#down.ask();
  }

  override onEnd(): void {
    if (this.#waiting.length > 0) this.#endWaits = true;
    else super.onEnd();
  }

  /** A reset by the upstream comes after the bytes that it sent before. */
  override onReset(code: StreamCode): void {
    if (this.#waiting.length > 0 && BROKEN.includes(code)) {
      this.#resetWaits ??= code;
      return;
    }
    this.#waiting = [];
    super.onReset(code);
  }

  protected override continueReading(): void {
    if (!this.#paused) super.continueReading();
  }

  readonly #onRead = (chunk: Buffer): void => {
    this.#up.spend(chunk.length);
    this.#waitToRead();
  };

  #waitToRead(): void {
    if (this.#reader === undefined || this.#up.free) return;
    this.#paused = true;
    stopReading(this.#reader);
    this.#up.ask();
  }

  #readAgain(): void {
    this.#paused = false;
    if (this.done) return;
    this.#up.prepay();
    // Otherwise the stream has no room, and calls `onWritable` when it has.
    if (this.#source.mayBegin()) super.continueReading();
  }

  #pass(): void {
    let passed = 0;
    for (const piece of this.#waiting) {
      if (passed > 0 && !this.#down.mayGoOn) break;
      passed += 1;
      this.#down.spend(piece.length);
      super.onData(piece);
      if (this.done) return;
    }
    this.#waiting.splice(0, passed);
    if (this.#waiting.length > 0) {
      this.#down.ask();
      return;
    }
    if (this.#endWaits) {
      this.#endWaits = false;
      super.onEnd();
    }
    const due = this.#resetWaits;
    this.#resetWaits = undefined;
    if (due !== undefined) super.onReset(due);
  }

  #over(): void {
    this.#waiting = [];
    this.#up.end();
    this.#down.end();
  }
}
