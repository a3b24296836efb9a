// Joins a socket and a stream until both directions have ended: bytes, half-closes, resets and back-pressure go through.

import type {Socket} from 'node:net';
import {countRead} from '../core/collect.js';
import type {Block} from '../mux/blocks.js';
import type {Stream, StreamSink} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';
import {outliveFailedWrites} from './failed-writes.js';
import {readOn, stopReading} from './reading.js';

/** Pieces from here on are gathered until the turn ends and leave in one write; smaller ones leave at once. */
const GATHER_FROM_BYTES = 8 * 1024;

const NOTHING = Buffer.alloc(0);

/** A socket that has broken is reset, read or not, when its last bytes have not moved for so long, ms. */
const LAST_BYTES_MS = 10_000;

/** Codes of a socket that broke at the other end: what it said before has come in front of them. */
const BROKEN: readonly StreamCode[] = ['UPSTREAM_RESET', 'VISITOR_RESET'];

export interface SpliceOptions {
  stream: Stream;
  /** What the peer is told when the socket breaks. */
  brokenCode: StreamCode;
  /** Resets the connection under `socket`, so that its peer sees a reset and not an end. */
  reset: () => void;
  /** Whether a socket that was not there yet is about to be: it is worth waiting for with bytes of a peer that has gone. */
  connects?: () => boolean;
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
  #begun = true;
  /** An empty write is asking whether the peer is still there. */
  #probing = false;
  /** The code of the write that failed: nothing reaches the socket any more, but what it said before is still read. */
  #writeFailed: string | undefined;
  /** The peer has reset the stream, and the socket has not taken all bytes that came before. */
  #resetDue: StreamCode | undefined;
  #lastBytesTimer: NodeJS.Timeout | undefined;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#stream.sink = this;
  }

  /** The peer has gone; at most its last bytes are still handed on. */
  get ending(): boolean {
    return this.#done || this.#resetDue !== undefined;
  }

  get done(): boolean {
    return this.#done;
  }

  /** Whether anything of the socket was read, or may be. */
  get hasBegun(): boolean {
    return this.#begun;
  }

  /**
   * Finds out whether a socket that was never read has been reset by its peer meanwhile; the stream then ends as if it had never
   * been. An empty write is what the kernel answers without anything leaving.
   */
  probe(): void {
    const socket = this.#socket;
    if (this.#begun || this.#done || socket === undefined || socket.writableLength > 0) return;
    this.#probing = true;
    socket.write(NOTHING, () => (this.#probing = false));
  }

  /** @param reads 'events': the splice listens for `data`; 'onread': the socket was made with `onread`, which calls `read`. */
  join(socket: Socket, reads: 'events' | 'onread' = 'events'): void {
    this.#socket = socket;
    if (this.#done) {
      this.#options.reset();
      return;
    }
    outliveFailedWrites(socket, this.#onWriteFailed);
    socket.on('end', this.#onSocketEnd);
    socket.on('error', this.#onSocketBroken);
    socket.on('close', this.#onSocketBroken);
    // What is read before it may be written would pile up here.
    this.#begun = this.#stream.mayBegin();
    if (!this.#begun) stopReading(socket);
    if (reads === 'events') socket.on('data', this.#onSocketData);
    const early = this.#early;
    this.#early = [];
    for (const piece of early) this.onData(piece);
    if (this.#earlyEnd) this.onEnd();
    const due = this.#resetDue;
    if (due === undefined) return;
    this.#resetDue = undefined;
    this.onReset(due);
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
    // No credit: the peer stops when its window is full, and hears of the reset when the socket has been read to its end.
    if (this.#writeFailed !== undefined) return;
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
    else if (this.#writeFailed === undefined) this.#socket.end();
  }

  onWritable(): void {
    this.#begun = true;
    if (this.#socket !== undefined) readOn(this.#socket);
  }

  onHold(): void {
    if (this.#socket !== undefined) stopReading(this.#socket);
  }

  onReset(code: StreamCode): void {
    if (this.#done) return;
    if (this.#resetDue === undefined && BROKEN.includes(code) && this.#owesBytes()) {
      this.#resetDue = code;
      this.#watchLastBytes();
      return;
    }
    this.#finish(code);
    if (this.#socket?.destroyed === false) this.#options.reset();
  }

  /** Whether bytes of the stream are still to reach the socket, and can. */
  #owesBytes(): boolean {
    const socket = this.#socket;
    if (socket === undefined) return this.#early.length > 0 && this.#options.connects?.() === true;
    return this.#writeFailed === undefined && !socket.destroyed && socket.writableLength > 0;
  }

  // ── From the socket ──

  #onSocketData = (chunk: Buffer): void => {
    countRead(chunk.length);
    if (!this.#stream.write(chunk)) stopReading(this.#socket as Socket);
  };

  #onSocketEnd = (): void => {
    this.#readEnded = true;
    // A connection that was reset also reads as ended once a write has reported the reset.
    if (this.#writeFailed !== 'ECONNRESET') this.#stream.end();
    if (this.#writeFailed !== undefined) this.#broken();
  };

  #onSocketBroken = (cause?: unknown): void => {
    const socket = this.#socket;
    // An error is always followed by close; a close after both ends is the orderly one.
    const orderly =
      !(cause instanceof Error) && cause !== true && this.#readEnded && socket?.writableFinished === true;
    if (orderly) {
      this.#settleCredit();
      this.#finish(this.#resetDue);
      return;
    }
    if (!this.#done) this.#broken();
  };

  #onWriteFailed = (code: string | undefined): void => {
    this.#writeFailed = code ?? 'EPIPE';
    if (this.#done || this.#socket?.destroyed) return;
    if (this.#probing && !this.#begun) this.cut(this.#options.brokenCode);
    else if (this.#readEnded || this.#resetDue !== undefined) this.#broken();
    else this.#watchLastBytes();
  };

  /** The socket says and takes nothing more: the peer gets what it said, then the reset. */
  #broken(): void {
    const socket = this.#socket as Socket;
    socket.off('data', this.#onSocketData);
    socket.off('close', this.#onSocketBroken);
    // What was read while the stream took no more.
    for (let rest = socket.read(); rest !== null; rest = socket.read()) this.#stream.write(rest as Buffer);
    socket.destroy();
    if (this.#resetDue === undefined) this.#stream.resetAfterData(this.#options.brokenCode);
    if (this.#stream.state === 'closed') this.#finish(this.#resetDue ?? this.#options.brokenCode);
    else this.#watchLastBytes();
  }

  /** A peer that takes nothing must not keep what is over: without progress over a link the reset comes all the same. */
  #watchLastBytes(): void {
    if (this.#done || this.#lastBytesTimer !== undefined) return;
    const moved = () =>
      this.#stream.bytesOut - this.#stream.heldBytes - (this.#socket?.writableLength ?? this.#early.length);
    let before = moved();
    this.#lastBytesTimer = setInterval(() => {
      const now = moved();
      if (now === before && this.#stream.linked) this.cut(this.#resetDue ?? this.#options.brokenCode);
      before = now;
    }, LAST_BYTES_MS).unref();
  }

  #uncork = (): void => {
    this.#corked = false;
    this.#socket?.uncork();
  };

  #onWritten = (error?: Error | null): void => {
    if (error === undefined || error === null) this.#settleCredit();
    if (this.#resetDue !== undefined && !this.#owesBytes()) this.onReset(this.#resetDue);
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
    clearInterval(this.#lastBytesTimer);
    this.#early = [];
    this.#options.onDone(code);
  }
}
