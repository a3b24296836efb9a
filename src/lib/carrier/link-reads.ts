// Reads the socket of a link without the steps of a stream. The code behind it keeps what it gets, for example as bytes that
// wait in a visitor's socket, so no two reads share memory for long.
//
// Few bytes come through the process's shared buffer and are copied into memory of their size: Node would allocate 64 KiB, and
// then move them. Many bytes are read where they stay, several reads in one slab.

import type {Socket} from 'node:net';
import {canReadInto, forgetReader, readInto, sharedBuffer} from '../net/own-buffers.js';

/** From this size on a read is followed by one into a slab. */
const MANY_BYTES = 8 * 1024;
/** One record of TLS is one read. */
const RECORD_BYTES = 16 * 1024;
/** A piece that waits keeps its slab, so a slab has only a few: no whole record is a crumb of it (`mux/crumbs.ts`). */
const SLAB_BYTES = 3 * RECORD_BYTES;

export interface LinkReader {
  /** The bytes are the reader's from now on. */
  onBytes(bytes: Buffer): void;
  /** The peer's FIN, or its end of TLS. */
  onEnd(): void;
}

export class LinkReads {
  readonly #socket: Socket;
  readonly #reader: LinkReader;
  #started = false;
  #paused = false;
  /** TLS passes on all records that it has, also after `pause`. */
  #held: Buffer[] = [];
  #ended = false;
  #isPassing = false;
  /** The rest of a slab that nobody has got. */
  #rest: Buffer | undefined;
  #next = sharedBuffer();

  /** Begins with `start`. */
  constructor(socket: Socket, reader: LinkReader) {
    this.#socket = socket;
    this.#reader = reader;
  }

  /** The first bytes are those that the socket's stream has read before. */
  start(): void {
    const socket = this.#socket;
    this.#started = true;
    socket.on('end', this.#onEnd);
    if (canReadInto(socket)) {
      readInto(socket, {first: this.#next, next: () => this.#next, onRead: this.#onRead});
      for (let early = socket.read(); early !== null; early = socket.read()) this.#onBytes(early as Buffer);
    } else {
      socket.on('data', this.#onBytes);
    }
    if (this.#paused) socket.pause();
    else socket.resume();
  }

  /** No bytes and no end until `resume`. Idempotent. */
  pause(): void {
    this.#paused = true;
    if (this.#started) this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#started) return;
    this.#socket.resume();
    // Not from within this call: its caller may be in the middle of a write to the socket for which the bytes are.
    if (this.#held.length > 0 || this.#ended) process.nextTick(this.#pass);
  }

  /** The socket is closed: passes on what is held, also to a reader that has paused. */
  passLast(): void {
    for (const bytes of this.#held.splice(0)) this.#reader.onBytes(bytes);
    if (!this.#ended) return;
    this.#ended = false;
    this.#reader.onEnd();
  }

  /** The socket is closed. */
  stop(): void {
    this.#held = [];
    this.#rest = undefined;
    this.#socket.off('data', this.#onBytes);
    this.#socket.off('end', this.#onEnd);
    forgetReader(this.#socket);
  }

  readonly #onRead = (length: number, buffer: Buffer): boolean => {
    let bytes: Buffer;
    if (buffer === sharedBuffer()) {
      bytes = Buffer.allocUnsafeSlow(length);
      buffer.copy(bytes, 0, 0, length);
    } else {
      bytes = buffer.subarray(0, length);
      this.#rest = buffer.subarray(length);
    }
    this.#choose(length);
    this.#onBytes(bytes);
    return true;
  };

  /** Chooses the buffer of the next read. */
  #choose(length: number): void {
    if (length < MANY_BYTES) {
      this.#rest = undefined;
      this.#next = sharedBuffer();
      return;
    }
    if (this.#rest === undefined || this.#rest.length < RECORD_BYTES)
      this.#rest = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#next = this.#rest;
  }

  readonly #onBytes = (bytes: Buffer): void => {
    this.#held.push(bytes);
    this.#pass();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#pass();
  };

  /** Passes on what is held, until the reader pauses. */
  readonly #pass = (): void => {
    // The reader may lead back here while it takes bytes.
    if (this.#isPassing) return;
    this.#isPassing = true;
    while (!this.#paused && this.#held.length > 0) this.#reader.onBytes(this.#held.shift() as Buffer);
    this.#isPassing = false;
    if (this.#paused || !this.#ended) return;
    this.#ended = false;
    this.#reader.onEnd();
  };
}
