// A stream of a session as a Duplex of Node. Half-closes, resets and back-pressure pass through in both directions.

import {Duplex} from 'node:stream';
import type {Stream, StreamSink} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';

type Done = (error?: Error | null) => void;

export interface StreamDuplexOptions {
  /** The code that the peer gets when this side destroys the Duplex. Default CANCELLED. */
  code?: StreamCode;
  /** The error for a reset or refusal. Default: an Error with the code ECONNRESET. */
  toError?: (code: StreamCode, message: string | undefined) => Error;
  /** The peer accepted the stream. */
  onOpened?: () => void;
  /** Everything that the peer sent has arrived. It may still be unread. */
  onArrived?: () => void;
}

/**
 * Its sink is this object from the constructor on. An `error` without a listener does no harm: a peer must not be able to end
 * the process. `destroy` resets the stream, unless both directions have ended.
 */
export class StreamDuplex extends Duplex implements StreamSink {
  readonly stream: Stream;
  readonly #options: StreamDuplexOptions;
  /** The callback of the write that the stream has not accepted whole. */
  #pending: Done | undefined;
  #received = 0;
  #credited = 0;

  constructor(stream: Stream, options: StreamDuplexOptions = {}) {
    super({allowHalfOpen: true, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024});
    this.stream = stream;
    this.#options = options;
    stream.sink = this;
    this.on('error', ignore);
  }

  /**
   * This Duplex, for the promise of an accepted stream. A reset that comes in the same turn emits `close` before anybody who waits
   * for the promise can listen.
   *
   * @throws the error of the reset
   */
  stillOpen(): this {
    if (this.destroyed) throw this.errored ?? resetError(this.#options.code ?? 'CANCELLED');
    return this;
  }

  /** Resets the stream. As with a socket. */
  resetAndDestroy(): this {
    return this.destroy();
  }

  // ── From the stream ──

  onData(piece: Buffer): void {
    if (this.destroyed) return;
    this.#received += piece.length;
    // The window of the stream limits what waits here, so the answer needs no attention.
    this.push(piece);
    this.#settleCredit();
  }

  onEnd(): void {
    if (!this.destroyed) this.push(null);
    this.#options.onArrived?.();
  }

  onWritable(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.();
  }

  onOpened(): void {
    this.#options.onOpened?.();
  }

  onReset(code: StreamCode, message?: string): void {
    this.destroy(this.#options.toError?.(code, message) ?? resetError(code));
  }

  // ── From Node ──

  override _read(): void {}

  /** Bytes that leave through `read` are consumed; `data` events come through it as well, or directly from `push`. */
  override read(size?: number): Buffer | null {
    const piece = super.read(size) as Buffer | null;
    this.#settleCredit();
    return piece;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    if (this.stream.write(chunk)) done();
    else this.#pending = done;
  }

  override _writev(chunks: {chunk: Buffer}[], done: Done): void {
    let go = true;
    for (const {chunk} of chunks) go = this.stream.write(chunk);
    if (go) done();
    else this.#pending = done;
  }

  override _final(done: Done): void {
    this.stream.end();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    const pending = this.#pending;
    this.#pending = undefined;
    this.stream.reset(this.#options.code ?? 'CANCELLED');
    pending?.(error);
    done(error);
  }

  #settleCredit(): void {
    const consumed = this.#received - this.readableLength;
    if (consumed <= this.#credited || this.destroyed) return;
    const bytes = consumed - this.#credited;
    this.#credited = consumed;
    this.stream.consumed(bytes);
  }
}

function ignore(): void {}

function resetError(code: StreamCode): Error {
  return Object.assign(new Error(`the stream was reset: ${code}`), {code: 'ECONNRESET'});
}
