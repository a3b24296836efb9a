// A stream of one session is the carrier of another one. In this way a session reaches a peer behind a relay.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {Block} from './blocks.js';
import type {Carrier, CarrierSink} from './carrier.js';
import {PAYLOAD_AT, type Stream} from './stream.js';

/** An orderly end without progress for this long becomes a destroy, ms. */
const CLOSE_TIMEOUT_MS = 5_000;

export interface StreamCarrierOptions {
  /** Default: the stream's number. */
  label?: string;
  /** `write` returns false above this. Default 256 KiB. */
  highWaterBytes?: number;
  clock?: Clock;
  /** Bytes of the stream that came before, and are not consumed. */
  early?: Buffer[];
}

interface Waiting {
  bytes: Buffer;
  onWritten: (() => void) | undefined;
}

/**
 * `open` → `ending` (`end()` was called, or the peer's end came) → `closed`. `destroy` and a reset of the stream lead to
 * `closed` from anywhere.
 */
type Phase = 'open' | 'ending' | 'closed';

/** Takes over a stream. The side that opened it passes it at once; the other side accepts it first. */
export class StreamCarrier implements Carrier {
  readonly label: string;
  /** The stream copies its input and adds its own headers. */
  readonly headroom = 0;
  readonly #stream: Stream;
  readonly #highWaterBytes: number;
  readonly #clock: Clock;
  #sink: CarrierSink | undefined;
  #phase: Phase = 'open';
  #error: Error | undefined;
  /** Bytes that came before `start` or in a pause. They are not consumed, so the window limits them. */
  #unread: Buffer[] = [];
  #paused = false;
  /** True while the stream takes more. */
  #go = true;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** `onDrain` is called when no more than this waits; undefined while `write` has not returned false. */
  #drainAt: number | undefined;
  #timer: Timer | undefined;

  constructor(stream: Stream, options: StreamCarrierOptions = {}) {
    this.#stream = stream;
    this.label = options.label ?? `stream ${stream.id}`;
    this.#highWaterBytes = options.highWaterBytes ?? 256 * 1024;
    this.#clock = options.clock ?? systemClock;
    if (options.early !== undefined) this.#unread = options.early;
    stream.sink = {
      onData: (piece) => this.#onData(piece),
      onEnd: () => this.end(),
      onWritable: () => {
        this.#go = true;
        this.#pump();
      },
      onReset: (code) =>
        this.#close(new TunlError('RELAY_LOST', {reason: `The stream under the link was reset: ${code}.`})),
      onClosed: () => this.#close(undefined),
    };
  }

  get bufferedBytes(): number {
    return this.#waitingBytes + this.#stream.heldBytes;
  }

  start(sink: CarrierSink): void {
    queueMicrotask(() => {
      this.#sink = sink;
      this.#readOn();
      if (this.#phase === 'closed') sink.onClose(this.#error);
    });
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    if (this.#phase !== 'open') {
      onWritten?.();
      return true;
    }
    const bytes = block.subarray(start, end);
    if (this.#go && this.#waiting.length === 0) {
      this.#go = this.#stream.write(bytes);
      onWritten?.();
    } else {
      this.#waiting.push({bytes, onWritten});
      this.#waitingBytes += bytes.length;
    }
    return this.#hasRoom();
  }

  writeBlock(block: Block, length: number): boolean {
    if (this.#phase !== 'open' || !this.#go || this.#waiting.length > 0)
      return this.write(block.buffer, PAYLOAD_AT, PAYLOAD_AT + length, block.onWritten);
    this.#go = this.#stream.writeBlock(block, length);
    return this.#hasRoom();
  }

  #hasRoom(): boolean {
    const buffered = this.bufferedBytes;
    if (buffered <= this.#highWaterBytes) return true;
    this.#drainAt = buffered / 2;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#readOn();
  }

  end(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'ending';
    this.#limit();
    if (this.#waiting.length === 0) this.#stream.end();
  }

  destroy(error?: Error): void {
    if (this.#phase === 'closed') return;
    this.#stream.reset('CANCELLED');
    this.#close(error);
  }

  #onData(piece: Buffer): void {
    if (this.#phase === 'closed') return;
    // The piece goes after the waiting ones: `consumed` can bring the next piece while the last ones are passed on.
    this.#unread.push(piece);
    this.#readOn();
  }

  #readOn(): void {
    while (!this.#paused && this.#sink !== undefined) {
      const piece = this.#unread.shift();
      if (piece === undefined) return;
      this.#sink.onData(piece);
      // The inner session has its own windows, so its streams hold bytes back, and its link does so for at most one turn.
      this.#stream.consumed(piece.length);
    }
  }

  #pump(): void {
    while (this.#go) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#waitingBytes -= next.bytes.length;
      this.#go = this.#stream.write(next.bytes);
      next.onWritten?.();
    }
    if (this.#phase === 'ending') {
      this.#limit();
      if (this.#waiting.length === 0) this.#stream.end();
      return;
    }
    if (this.#drainAt === undefined || this.bufferedBytes > this.#drainAt || this.#phase === 'closed') return;
    this.#drainAt = undefined;
    this.#sink?.onDrain();
  }

  /** Destroys the carrier when its end makes no progress for some time; a slow link may take longer. */
  #limit(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(CLOSE_TIMEOUT_MS, () =>
      this.destroy(new TunlError('RELAY_LOST', {reason: 'The peer did not answer the close.'})),
    );
  }

  #close(error: Error | undefined): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#error = error;
    this.#timer?.cancel();
    // After an orderly end everything is delivered, even in a pause.
    const unread = this.#unread.splice(0);
    if (error === undefined) for (const piece of unread) this.#sink?.onData(piece);
    this.#waitingBytes = 0;
    for (const {onWritten} of this.#waiting.splice(0)) onWritten?.();
    this.#sink?.onClose(error);
  }
}
