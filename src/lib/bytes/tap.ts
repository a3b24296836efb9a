// Lets code see the bytes of one splice, to explain or show them. A splice without a tap is another class and pays nothing.

import type {Duplex} from 'node:stream';
import type {Block} from '../mux/blocks.js';
import {PAYLOAD_AT} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';
import {Splice, type SpliceOptions} from './splice.js';

/**
 * Sees each piece when it arrives, before it is passed on. It may not throw, wait, or keep a piece: the next read overwrites it.
 * Bytes, their order and back-pressure are the same with it and without.
 */
export interface Tap {
  /** From the stream to the socket. */
  up(piece: Uint8Array): void;
  /** From the socket to the stream. */
  down(piece: Uint8Array): void;
  /**
   * Both directions have ended. Called once. `code`: the reason, if the end was not an orderly one. `first`: the direction that
   * has ended in order before the other one, if any.
   */
  end(code?: StreamCode, first?: 'up' | 'down'): void;
}

export class TappedSplice extends Splice {
  /** Undefined after it has thrown: the bytes still pass. */
  #tap: Tap | undefined;
  /** True while the pieces from before the socket are passed on, because the tap has seen them. */
  #joining = false;
  #first: 'up' | 'down' | undefined;

  constructor(options: SpliceOptions, tap: Tap) {
    super({
      ...options,
      onDone: (code) => {
        this.#ended(code);
        options.onDone(code);
      },
    });
    this.#tap = tap;
  }

  override join(socket: Duplex, reads: 'events' | 'onread' = 'events'): void {
    this.#joining = true;
    super.join(socket, reads);
    this.#joining = false;
    socket.prependOnceListener('end', () => {
      this.#first ??= 'down';
    });
    // Before the splice's own listener, which passes on the piece. This one also sees bytes that are read from a broken
    // socket.
    if (reads === 'events') socket.prependListener('data', (chunk: Buffer) => this.#down(chunk));
  }

  override read(chunk: Buffer): boolean {
    this.#down(chunk);
    return super.read(chunk);
  }

  override readBlock(block: Block, length: number): boolean {
    this.#down(block.buffer.subarray(PAYLOAD_AT, PAYLOAD_AT + length));
    return super.readBlock(block, length);
  }

  override onData(piece: Buffer): void {
    if (!this.#joining) this.#up(piece);
    super.onData(piece);
  }

  override onEnd(): void {
    this.#first ??= 'up';
    super.onEnd();
  }

  #up(piece: Uint8Array): void {
    try {
      this.#tap?.up(piece);
    } catch {
      this.#tap = undefined;
    }
  }

  #down(piece: Uint8Array): void {
    try {
      this.#tap?.down(piece);
    } catch {
      this.#tap = undefined;
    }
  }

  #ended(code: StreamCode | undefined): void {
    try {
      this.#tap?.end(code, this.#first);
    } catch {}
    this.#tap = undefined;
  }
}
