// Joins a socket and a stream until both directions have ended: bytes, half-closes, resets and back-pressure go through.

import type {Socket} from 'node:net';
import {countRead} from '../core/young-gc.js';
import type {Block} from '../mux/blocks.js';
import type {Stream, StreamSink} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';

/** Pieces from here on are gathered until the turn ends and leave in one write; smaller ones leave at once. */
const GATHER_FROM_BYTES = 8 * 1024;

export interface SpliceOptions {
  stream: Stream;
  /** What the peer is told when the socket breaks. */
  brokenCode: StreamCode;
  /** Resets the connection under `socket`, so that its peer sees a reset and not an end. */
  reset: () => void;
  /** Both directions are over, once. `code`: why, when it was not in order. */
  onDone: (code: StreamCode | undefined) => void;
}

/** The socket must have been made with allowHalfOpen. The stream's sink is the splice from the constructor on. */
export class Splice implements StreamSink {
  readonly #stream: Stream;
  readonly #options: SpliceOptions;
  #socket: Socket | undefined;
  /** Bytes that came before the socket was there. */
  #early: Buffer[] = [];
  #earlyEnd = false;
  /** Handed to the socket, and those of them that left it. */
  #given = 0;
  #left = 0;
  #corked = false;
  #done = false;
  #readEnded = false;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#stream.sink = this;
  }

  get done(): boolean {
    return this.#done;
  }

  /** @param reads 'events': the splice listens for `data`; 'onread': the socket was made with `onread`, which calls `read`. */
  join(socket: Socket, reads: 'events' | 'onread' = 'events'): void {
    this.#socket = socket;
    if (this.#done) {
      this.#options.reset();
      return;
    }
    socket.on('end', this.#onSocketEnd);
    socket.on('error', this.#onSocketBroken);
    socket.on('close', this.#onSocketBroken);
    if (reads === 'events') socket.on('data', this.#onSocketData);
    const early = this.#early;
    this.#early = [];
    for (const piece of early) this.onData(piece);
    if (this.#earlyEnd) this.onEnd();
  }

  /** Ends both sides, now, and tells the peer why. */
  cut(code: StreamCode): void {
    if (this.#done) return;
    this.#stream.reset(code);
    this.onReset(code);
  }

  /** Bytes from the socket. False: it should not be read until `resume` was called on it. */
  read(chunk: Buffer): boolean {
    return this.#stream.write(chunk);
  }

  /** Bytes from the socket, read into a block at PAYLOAD_AT; the block is the stream's from now on. */
  readBlock(block: Block, length: number): boolean {
    return this.#stream.writeBlock(block, length);
  }

  // ── From the stream ──

  onData(piece: Buffer): void {
    const socket = this.#socket;
    if (socket === undefined) {
      this.#early.push(piece);
      return;
    }
    if (!socket.writable) {
      // Its reader is gone; the bytes have nowhere to go, but their credit must not be lost to the other direction.
      this.#stream.consumed(piece.length);
      return;
    }
    if (!this.#corked && piece.length >= GATHER_FROM_BYTES) {
      this.#corked = true;
      socket.cork();
      setImmediate(this.#uncork);
    }
    this.#given += piece.length;
    socket.write(piece, this.#onWritten);
  }

  onEnd(): void {
    if (this.#socket === undefined) this.#earlyEnd = true;
    else this.#socket.end();
  }

  onWritable(): void {
    this.#socket?.resume();
  }

  onReset(code: StreamCode): void {
    if (this.#socket === undefined) {
      this.#finish(code);
      return;
    }
    this.#finish(code);
    this.#options.reset();
  }

  // ── From the socket ──

  #onSocketData = (chunk: Buffer): void => {
    countRead(chunk.length);
    if (!this.#stream.write(chunk)) this.#socket?.pause();
  };

  #onSocketEnd = (): void => {
    this.#readEnded = true;
    this.#stream.end();
  };

  #onSocketBroken = (cause?: unknown): void => {
    const socket = this.#socket;
    // An error is always followed by close; a close after both ends is the orderly one.
    const orderly =
      !(cause instanceof Error) && cause !== true && this.#readEnded && socket?.writableFinished === true;
    if (orderly) {
      this.#settleCredit();
      this.#finish(undefined);
      return;
    }
    if (this.#done) return;
    this.#stream.reset(this.#options.brokenCode);
    this.#finish(this.#options.brokenCode);
    socket?.destroy();
  };

  #uncork = (): void => {
    this.#corked = false;
    this.#socket?.uncork();
  };

  #onWritten = (error?: Error | null): void => {
    if (error === undefined || error === null) this.#settleCredit();
  };

  /** What the socket no longer holds is consumed. */
  #settleCredit(): void {
    const left = this.#given - (this.#socket?.writableLength ?? 0);
    if (left <= this.#left) return;
    const bytes = left - this.#left;
    this.#left = left;
    this.#stream.consumed(bytes);
  }

  #finish(code: StreamCode | undefined): void {
    if (this.#done) return;
    this.#done = true;
    this.#early = [];
    this.#options.onDone(code);
  }
}
