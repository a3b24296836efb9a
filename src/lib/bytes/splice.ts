// Joins a socket and a stream until both directions have ended. Bytes, half-closes, resets and back-pressure pass through.

import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {countRead} from '../core/collect.js';
import type {Block} from '../mux/blocks.js';
import type {Stream, StreamSink} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';
import {type OutlivedWrites, outliveFailedWrites} from './failed-writes.js';
import {letGo} from './let-go.js';
import {readAccepted} from './read-accepted.js';
import {readOn, stopReading} from './reading.js';

/** Pieces from this size on are gathered until the turn ends and sent in one write; smaller ones are sent at once. */
const GATHER_FROM_BYTES = 8 * 1024;

const NOTHING = Buffer.alloc(0);

/** A broken socket is reset when its last bytes have not moved for this long, ms. */
const LAST_BYTES_MS = 10_000;

/** Codes of a socket that broke at the other end: everything it sent before has arrived. */
export const BROKEN: readonly StreamCode[] = ['UPSTREAM_RESET', 'VISITOR_RESET'];

export interface SpliceOptions {
  stream: Stream;
  /** The code that the peer gets when the socket breaks. */
  brokenCode: StreamCode;
  /** Resets the connection under `socket`, so that its peer sees a reset and not an end. */
  reset: () => void;
  /** True while a socket is still connecting: the last bytes of a peer that is gone are kept for it. */
  connects?: () => boolean;
  /** The socket's peer has ended or broken the connection. The stream is not told yet. */
  onSocketOver?: (() => void) | undefined;
  /** Called once, when both directions have ended. `code`: the reason, if the end was not an orderly one. */
  onDone: (code: StreamCode | undefined) => void;
}

/** The socket must have been made with allowHalfOpen. The stream's sink is the splice from the constructor on. */
export class Splice implements StreamSink {
  readonly #stream: Stream;
  readonly #options: SpliceOptions;
  #socket: Socket | undefined;
  /** Bytes that came before the socket existed. */
  #early: Buffer[] = [];
  #earlyEnd = false;
  /** Bytes passed to the socket, and bytes that have left it. */
  #given = 0;
  #left = 0;
  #corked = false;
  #done = false;
  #readEnded = false;
  #begun = true;
  /** An empty write is under way that tests whether the peer is still there. */
  #probing = false;
  #writes: OutlivedWrites | undefined;
  /** The socket is dead in both directions. */
  #isBroken = false;
  /** The code of the failed write: nothing can be written to the socket any more, but what it received is still read. */
  #writeFailed: string | undefined;
  /** The peer has reset the stream, and the socket has not taken all bytes that came before. */
  #resetDue: StreamCode | undefined;
  #lastBytesTimer: NodeJS.Timeout | undefined;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#stream.sink = this;
  }

  /** The peer is gone; only its last bytes may still be passed on. */
  get ending(): boolean {
    return this.#done || this.#resetDue !== undefined;
  }

  get done(): boolean {
    return this.#done;
  }

  get keepsBytes(): boolean {
    return !this.#done;
  }

  /** True when the socket has been read or may be read. */
  get hasBegun(): boolean {
    return this.#begun;
  }

  /**
   * Tests whether the peer has reset a socket that was never read; the stream then ends as if it had never begun.
   * The kernel answers an empty write without sending anything.
   */
  probe(): void {
    const socket = this.#socket;
    if (this.#begun || this.#done || socket === undefined || socket.writableLength > 0) return;
    this.#probing = true;
    socket.write(NOTHING, () => (this.#probing = false));
  }

  /**
   * @param reads 'events': the splice listens for `data`; 'onread': the socket was made with `onread`, which calls `read`;
   * 'accepted': a server has accepted the socket just now.
   */
  join(connection: Duplex, reads: 'events' | 'onread' | 'accepted' = 'events'): void {
    // Only what every Duplex has is used, except for `readAccepted`.
    const socket = connection as Socket;
    this.#socket = socket;
    if (this.#done) {
      this.#options.reset();
      return;
    }
    this.#writes = outliveFailedWrites(socket, this.#onWriteFailed, this.#onWritten);
    socket.on('end', this.#onSocketEnd);
    socket.on('error', this.#onSocketBroken);
    socket.on('close', this.#onSocketClosed);
    // Bytes that are read before the stream may take them would use memory here.
    this.#begun = this.#stream.mayBegin();
    const isRead = reads === 'onread' || (reads === 'accepted' && this.#readAccepted(socket));
    if (!this.#begun) stopReading(socket);
    if (!isRead) socket.on('data', this.#onSocketData);
    const early = this.#early;
    this.#early = [];
    for (const piece of early) this.onData(piece);
    if (this.#earlyEnd) this.onEnd();
    // It has ended while nobody listened, such as a visitor who waited for an agent.
    if (socket.readableEnded) this.#onSocketEnd();
    const due = this.#resetDue;
    if (due === undefined) return;
    this.#resetDue = undefined;
    this.onReset(due);
  }

  #readAccepted(socket: Socket): boolean {
    return readAccepted(socket, (bytes, buffer) => this.read(buffer.subarray(0, bytes)));
  }

  /** Ends both sides, now, and tells the peer why. */
  cut(code: StreamCode): void {
    if (this.#done) return;
    this.#stream.reset(code);
    this.onReset(code);
  }

  /** Takes bytes from the socket. Returns false when the socket must not be read until `resume` is called on it. */
  read(chunk: Buffer): boolean {
    return this.#stream.write(chunk);
  }

  /** Bytes from the socket, read into a block at PAYLOAD_AT; the stream owns the block from now on. */
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
    // No credit is given: the peer stops when its window is full, and gets the reset when the socket has been read to its end.
    if (this.#writeFailed !== undefined) return;
    if (!socket.writable) {
      // The socket's reader is gone, so the bytes are dropped, but their credit must go back for the session.
      this.#stream.consumed(piece.length);
      return;
    }
    if (!this.#corked && piece.length >= GATHER_FROM_BYTES) {
      this.#corked = true;
      socket.cork();
      setImmediate(this.#uncork);
    }
    this.#given += piece.length;
    this.#writes?.write(piece);
  }

  onEnd(): void {
    if (this.#socket === undefined) this.#earlyEnd = true;
    else if (this.#writeFailed === undefined) this.#writes?.end();
  }

  onWritable(): void {
    this.#begun = true;
    this.continueReading();
  }

  protected continueReading(): void {
    if (this.#socket !== undefined) readOn(this.#socket);
  }

  onHold(): void {
    if (this.#socket !== undefined) stopReading(this.#socket);
  }

  onClosed(): void {
    if (this.#socket?.closed) this.#finish(this.#resetDue);
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

  /** True when bytes of the stream must still reach the socket and can. */
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
    this.#options.onSocketOver?.();
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
      // The stream may have no credit for the last bytes of the socket. It counts until they have left.
      if (this.#stream.state === 'closed') this.#finish(this.#resetDue);
      else this.#watchLastBytes();
      return;
    }
    if (!this.#done) this.#broken();
  };

  #onSocketClosed = (hadError: boolean): void => {
    if (!this.#isBroken) this.#onSocketBroken(hadError);
    letGo(this.#socket as Socket);
    this.#writes?.forget();
  };

  #onWriteFailed = (code: string | undefined): void => {
    this.#writeFailed = code ?? 'EPIPE';
    if (this.#done || this.#socket?.destroyed) return;
    if (this.#probing && !this.#begun) this.cut(this.#options.brokenCode);
    else if (this.#readEnded || this.#resetDue !== undefined) this.#broken();
    else this.#watchLastBytes();
  };

  /** The socket is dead in both directions: the peer gets the bytes that it sent, then the reset. */
  #broken(): void {
    const socket = this.#socket as Socket;
    this.#options.onSocketOver?.();
    socket.off('data', this.#onSocketData);
    this.#isBroken = true;
    // Bytes that were read while the stream took no more.
    for (let rest = socket.read(); rest !== null; rest = socket.read()) this.#stream.write(rest as Buffer);
    socket.destroy();
    if (this.#resetDue === undefined) this.#stream.resetAfterData(this.#options.brokenCode);
    if (this.#stream.state === 'closed') this.#finish(this.#resetDue ?? this.#options.brokenCode);
    else this.#watchLastBytes();
  }

  /** A peer that reads nothing must not keep a dead socket alive: without progress the reset follows anyway. */
  #watchLastBytes(): void {
    if (this.#done || this.#lastBytesTimer !== undefined) return;
    const moved = () =>
      this.#stream.bytesOut - this.#stream.heldBytes - (this.#socket?.writableLength ?? this.#early.length);
    let before = moved();
    this.#lastBytesTimer = setInterval(() => {
      const now = moved();
      // Bytes for the socket need no link. Bytes for the peer do, and a resume may bring one.
      const needsLink = this.#resetDue === undefined;
      if (now === before && (!needsLink || this.#stream.linked))
        this.cut(this.#resetDue ?? this.#options.brokenCode);
      before = now;
    }, LAST_BYTES_MS).unref();
  }

  #uncork = (): void => {
    this.#corked = false;
    this.#writes?.uncork();
  };

  /** Often called while a write still runs. */
  #onWritten = (): void => {
    this.#settleCredit();
    if (this.#resetDue !== undefined && !this.#owesBytes()) this.onReset(this.#resetDue);
  };

  /** Gives credit for the bytes that have left the socket. */
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
