// A container's stdin and stdout as one connection. Engines put both outputs of a container into one stream of records; the other
// one is kept for messages.

import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';

/** Stream number, three zeros, length. */
const HEAD_BYTES = 8;
const STDOUT = 1;
/** The last bytes of stderr that are kept. */
const TAIL_BYTES = 4 * 1024;

type Done = (error?: Error | null) => void;

/** Half-closes: `end` is the container's end of input. Destroying it detaches, which ends the container's input as well. */
export class Attached extends Duplex {
  readonly #socket: Socket;
  /** The part of a head that has arrived. */
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headBytes = 0;
  /** Bytes of the record that are still to come, and the stream that they are of. */
  #left = 0;
  #stream = 0;
  #tail = Buffer.alloc(0);

  constructor(socket: Socket) {
    super({allowHalfOpen: true});
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  /** The last words of the container's stderr. */
  get lastWords(): string {
    return this.#tail.toString('utf8').trim();
  }

  /** It has all of a socket that a carrier uses. */
  get asSocket(): Socket {
    return this as Duplex as Socket;
  }

  /** The engine sets no limit for silence. */
  setTimeout(): this {
    return this;
  }

  #onData(chunk: Buffer): void {
    let at = 0;
    let go = true;
    while (at < chunk.length) {
      if (this.#left === 0) {
        const bytes = Math.min(HEAD_BYTES - this.#headBytes, chunk.length - at);
        chunk.copy(this.#head, this.#headBytes, at, at + bytes);
        this.#headBytes += bytes;
        at += bytes;
        if (this.#headBytes < HEAD_BYTES) break;
        this.#headBytes = 0;
        this.#stream = this.#head[0] ?? 0;
        this.#left = this.#head.readUInt32BE(4);
        continue;
      }
      const piece = chunk.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      if (this.#stream === STDOUT) go = this.push(piece);
      else this.#tail = Buffer.concat([this.#tail, piece]).subarray(-TAIL_BYTES);
    }
    if (!go) this.#socket.pause();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: Done): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#socket.destroy();
    done(error);
  }
}
