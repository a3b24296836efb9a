// Writes of a socket: in portions over TLS, and the socket stays readable after a write to it has failed.
//
// Node destroys a socket whose write fails, with all unread bytes that the kernel has received: often the
// answer that says why the peer accepts no more.

import type {Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';

type Done = (error?: Error | null) => void;
type Chunks = {chunk: unknown; encoding: BufferEncoding}[] & {
  /** Node's own sign for chunks that are all buffers. */
  allBuffers?: boolean;
};

/**
 * TLS copies all chunks of a `writev` into one, and encrypts that before anything leaves: for a visitor who reads slowly the
 * megabytes that wait would stand in memory three times. In portions they do so only for a moment. Without TLS nothing is
 * copied, and portions would only be more system calls.
 */
const PORTION_BYTES = 256 * 1024;

/** A Writable has one write at a time, so no write allocates anything. */
class Outlived {
  failed = false;
  done: Done = () => {};
  readonly #socket: Socket;
  readonly write: Socket['_write'];
  readonly writev: Socket['_writev'];
  readonly #onFailed: (code: string | undefined) => void;
  /** Chunks of which a portion is being written, and the position of those that are due then. */
  #chunks: Chunks | undefined;
  #position = 0;

  constructor(socket: Socket, onFailed: (code: string | undefined) => void) {
    this.#socket = socket;
    this.write = socket._write;
    this.writev = socket._writev;
    this.#onFailed = onFailed;
  }

  readonly written: Done = (error) => {
    if (error && !this.failed) {
      this.failed = true;
      this.#onFailed((error as NodeJS.ErrnoException).code);
    }
    const chunks = this.failed ? undefined : this.#chunks;
    this.#chunks = undefined;
    if (chunks === undefined) this.done();
    else this.#writePortion(chunks);
  };

  writeMany(chunks: Chunks): void {
    const isTls = (this.#socket as Partial<TLSSocket>).encrypted === true;
    if (!isTls || this.#socket.writableLength <= PORTION_BYTES || chunks.allBuffers !== true) {
      this.writev?.call(this.#socket, chunks, this.written);
      return;
    }
    this.#position = 0;
    this.#writePortion(chunks);
  }

  #writePortion(chunks: Chunks): void {
    const start = this.#position;
    let end = start;
    for (let bytes = 0; end < chunks.length && bytes < PORTION_BYTES; end += 1)
      bytes += ((chunks[end] as Chunks[number]).chunk as Buffer).length;
    this.#position = end;
    this.#chunks = end < chunks.length ? chunks : undefined;
    const portion: Chunks = chunks.slice(start, end);
    portion.allBuffers = true;
    this.writev?.call(this.#socket, portion, this.written);
  }
}

const OUTLIVED = Symbol('outlived');

interface OutlivingSocket extends Socket {
  [OUTLIVED]: Outlived | undefined;
}

/**
 * After the first write that fails, all writes of `socket` report success and do nothing; reading continues until the peer's
 * end or a read that fails. `onFailed` is called once, with the system's code.
 */
export function outliveFailedWrites(socket: Socket, onFailed: (code: string | undefined) => void): void {
  const outliving = socket as OutlivingSocket;
  outliving[OUTLIVED] = new Outlived(socket, onFailed);
  // The same two functions for all sockets: a closure for each would keep V8 from inlining the calls.
  outliving._write = write;
  if (socket._writev) outliving._writev = writev;
}

/** The socket is closed: it refers no longer to whoever wanted to hear of failed writes. */
export function forgetFailedWrites(socket: Socket): void {
  const outlived = (socket as OutlivingSocket)[OUTLIVED];
  if (outlived === undefined) return;
  (socket as OutlivingSocket)[OUTLIVED] = undefined;
  socket._write = outlived.write;
  if (outlived.writev) socket._writev = outlived.writev;
}

function write(this: Socket, chunk: unknown, encoding: BufferEncoding, callback: Done): void {
  const state = (this as OutlivingSocket)[OUTLIVED] as Outlived;
  state.done = callback;
  if (state.failed) callback();
  else state.write.call(this, chunk, encoding, state.written);
}

function writev(this: Socket, chunks: Chunks, callback: Done): void {
  const state = (this as OutlivingSocket)[OUTLIVED] as Outlived;
  state.done = callback;
  if (state.failed) callback();
  else state.writeMany(chunks);
}
