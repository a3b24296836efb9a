// Joins two accepted TCP sockets: bytes, half-closes and the pressure of a slow reader pass through. Nothing looks at the bytes.

import type {Socket} from 'node:net';
import {BLOCK_BYTES, type Block} from '../mux/blocks.js';
import {PAYLOAD_AT} from '../mux/stream.js';
import {canReadInto, readInto} from '../net/own-buffers.js';
import {Lane, type Rate} from './pace.js';
import {readOn, stopReading} from './reading.js';
import {resetSocket} from './reset.js';
import type {ReadTarget, SocketReads} from './socket-reads.js';
import type {UnreadHolder} from './unread-limit.js';

/** A socket is not read while this much memory waits to leave by the other one. */
const HIGH_WATER_BYTES = 512 * 1024;
/** The memory of a write besides its bytes: its objects, and those of the buffer. */
const WRITE_BYTES = 512;

/** A socket, and the bytes of it that were read already. It is not being read. */
export interface PipeEnd {
  readonly socket: Socket;
  readonly head: readonly Buffer[];
}

export interface SocketPipeOptions {
  reads: SocketReads;
  /** Bytes of both directions wait for their turn when one of these limits is reached. */
  rates: readonly Rate[];
  /** Called once, when both sockets are gone. */
  onOver: () => void;
}

export class SocketPipe {
  readonly #sockets: readonly Socket[];
  readonly #directions: readonly [Direction, Direction];
  readonly #onOver: () => void;
  #isOver = false;

  constructor(first: PipeEnd, second: PipeEnd, {reads, rates, onOver}: SocketPipeOptions) {
    this.#onOver = onOver;
    this.#sockets = [first.socket, second.socket];
    this.#directions = [
      new Direction(first.socket, second.socket, rates),
      new Direction(second.socket, first.socket, rates),
    ];
    for (const socket of this.#sockets) {
      socket.on('close', this.#onClose);
      if (socket.destroyed) this.destroy();
    }
    if (this.#isOver) return;
    for (const [at, {head}] of [first, second].entries()) this.#directions[at as 0 | 1].begin(head, reads);
  }

  /** Both sockets are gone. */
  get over(): boolean {
    return this.#isOver;
  }

  /** The bytes that have come from each end. */
  get bytes(): {fromFirst: number; fromSecond: number} {
    const [first, second] = this.#directions;
    return {fromFirst: first.bytes, fromSecond: second.bytes};
  }

  /** The bytes that wait in each direction. */
  unread(cut: () => void): UnreadHolder[] {
    return this.#directions.map((direction) => ({
      cut,
      stream: {
        bytesIn: 0,
        unreadBytes: 0,
        get bytesOut() {
          return direction.bytes;
        },
        get heldBytes() {
          return direction.heldBytes;
        },
      },
    }));
  }

  /** Resets what is open. Idempotent. */
  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const direction of this.#directions) direction.end();
    for (const socket of this.#sockets) if (!socket.destroyed) resetSocket(socket);
    this.#onOver();
  }

  /** After its own end and that of the other one, the last bytes may still be on their way to the other one. */
  readonly #onClose = (): void => {
    const hasEnded = (socket: Socket) => socket.readableEnded && socket.writableFinished;
    const isOver = this.#sockets.every((socket) => socket.closed);
    if (isOver || !this.#sockets.filter((socket) => socket.closed).every(hasEnded)) this.destroy();
  };
}

class Direction implements ReadTarget {
  readonly #from: Socket;
  readonly #to: Socket;
  /** Undefined: no limit of bandwidth. */
  readonly #lane: Lane | undefined;
  bytes = 0;
  /** The memory of what the system has not taken yet. */
  heldBytes = 0;
  #isReading = false;
  #isOver = false;

  constructor(from: Socket, to: Socket, rates: readonly Rate[]) {
    this.#from = from;
    this.#to = to;
    this.#lane = rates.length === 0 ? undefined : new Lane(rates, () => this.#turn());
  }

  begin(head: readonly Buffer[], reads: SocketReads): void {
    const from = this.#from;
    if (from.readableEnded) this.#to.end();
    from.on('end', () => this.#to.end());
    for (const piece of head) this.#write(piece);
    if (canReadInto(from)) {
      const read = reads.for(this);
      // Not before: a socket may read until it is closed.
      from.once('close', read.release);
      readInto(from, {
        first: read.buffer() as Buffer,
        next: () => read.buffer() as Buffer,
        onRead: read.callback,
      });
    } else {
      from.on('data', (chunk: Buffer) => {
        if (!this.#pass(chunk)) stopReading(from);
      });
    }
    this.#goOn();
  }

  /** The shared buffer is overwritten by the next read. */
  read(chunk: Buffer): boolean {
    return this.#pass(Buffer.from(chunk));
  }

  readBlock(block: Block, length: number): boolean {
    return this.#pass(block.buffer.subarray(PAYLOAD_AT, PAYLOAD_AT + length), block);
  }

  end(): void {
    this.#isOver = true;
    this.#lane?.end();
  }

  /** Returns false when no more may be read for now. */
  #pass(chunk: Buffer, block?: Block): boolean {
    this.#write(chunk, block);
    this.#isReading = this.heldBytes < HIGH_WATER_BYTES && this.#mayRead();
    return this.#isReading;
  }

  #write(chunk: Buffer, block?: Block): void {
    this.bytes += chunk.length;
    const cost = WRITE_BYTES + (block === undefined ? chunk.length : BLOCK_BYTES);
    this.heldBytes += cost;
    this.#lane?.spend(chunk.length);
    this.#to.write(chunk, () => {
      this.heldBytes -= cost;
      block?.release();
      this.#goOn();
    });
  }

  #mayRead(): boolean {
    if (this.#lane === undefined || this.#lane.free) return true;
    this.#lane.ask();
    return false;
  }

  #turn(): void {
    this.#lane?.prepay();
    this.#goOn(true);
  }

  #goOn(isTurn = false): void {
    if (this.#isOver || this.#isReading || this.heldBytes >= HIGH_WATER_BYTES) return;
    if (!isTurn && !this.#mayRead()) return;
    this.#isReading = true;
    readOn(this.#from);
  }
}
