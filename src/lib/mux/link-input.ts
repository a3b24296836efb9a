// The bytes of a carrier on their way into a link. They wait while the work of a turn is used up, or while reading is held; the
// carrier is paused meanwhile.

import type {Clock} from '../core/clock.js';
import type {Carrier} from './carrier.js';
import {RecordReader, type RecordSink} from './record-reader.js';
import {CHUNK_UNITS, type Turns, Work} from './work.js';

export interface LinkInputOptions {
  readonly carrier: Pick<Carrier, 'pause' | 'resume'>;
  readonly clock: Pick<Clock, 'soon'>;
  readonly turns: Turns;
  readonly sink: RecordSink;
  /** The carrier has closed, and everything that came before has been read. */
  readonly onOver: (error: Error | undefined) => void;
}

export class LinkInput {
  readonly work: Work;
  readonly #options: LinkInputOptions;
  readonly #reader: RecordReader;
  #backlog: Buffer[] = [];
  #isHeld = false;
  #isReading = false;
  #isDiscarding = false;
  #isStopped = false;
  /** The carrier has closed; told after the backlog. */
  #end: {error: Error | undefined} | undefined;

  constructor(options: LinkInputOptions) {
    this.#options = options;
    this.#reader = new RecordReader(options.sink);
    this.work = new Work(options.turns, () => this.#readMore());
  }

  /** This side has ended the link: what the peer still sends is discarded, so that it does not pile up. */
  get isDiscarding(): boolean {
    return this.#isDiscarding;
  }

  push(chunk: Buffer): void {
    if (this.#isDiscarding) return;
    if (this.#isHeld || this.#backlog.length > 0) this.#backlog.push(chunk);
    else if (!this.#read(chunk)) this.#options.carrier.pause();
  }

  /** Nothing is read until `readOn`. Idempotent. */
  hold(): void {
    this.#isHeld = true;
    this.#options.carrier.pause();
  }

  readOn(): void {
    this.#isHeld = false;
    this.#readMore();
  }

  /** The carrier has closed. */
  close(error: Error | undefined): void {
    // Held reading may never be continued.
    if (this.#isHeld || this.#backlog.length === 0) this.#options.onOver(error);
    else this.#end = {error};
  }

  discard(): void {
    this.#isDiscarding = true;
    this.#reader.stop();
    this.#backlog = [];
  }

  /** The link has ended. The carrier is left alone. */
  stop(): void {
    this.discard();
    this.#isStopped = true;
  }

  /** Returns false when a rest of the chunk waits. */
  #read(chunk: Buffer): boolean {
    if (this.work.left <= 0) {
      this.#backlog.unshift(chunk);
      this.work.settle();
      return false;
    }
    this.work.left -= CHUNK_UNITS;
    let taken = chunk.length;
    this.#isReading = true;
    try {
      taken = this.#reader.push(chunk, this.work);
    } finally {
      this.#isReading = false;
    }
    this.work.settle();
    if (taken === chunk.length) return true;
    this.#backlog.unshift(chunk.subarray(taken));
    return false;
  }

  /** Continues to read: there is work left again, or reading is no longer held. */
  #readMore(): void {
    const {carrier, clock, onOver} = this.#options;
    if (this.#isReading) {
      // The call comes from the bytes that are being read now.
      clock.soon(() => this.#readMore());
      return;
    }
    while (!this.#isHeld) {
      const chunk = this.#backlog.shift();
      if (chunk === undefined) break;
      if (!this.#read(chunk)) return;
    }
    if (this.#isHeld || this.#isStopped) return;
    if (this.#end === undefined) carrier.resume();
    else onOver(this.#end.error);
  }
}
