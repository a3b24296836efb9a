// Writes of a socket: in portions over TLS, the socket stays readable after a write to it has failed, and one listener hears of
// all writes. A callback for each write would cost an object and a tick of Node's queue, even when the kernel takes the bytes
// at once.
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

/** The internal part of Node's Writable that tells it the result of each write. */
interface Inside {
  _writableState: {onwrite: Done};
}

/**
 * The state of one socket. It stands between the socket's writes and Node's own callback, which is a property that each
 * Writable has from the start: a property that only some sockets have, such as a `_write` of their own, would give sockets
 * another shape, and Node's code for all sockets becomes slower with each shape that it sees.
 */
class Outlived {
  readonly #socket: Socket;
  /** The calls of the socket's code that are under way, and whether bytes have left the socket in one of them. */
  #depth = 0;
  #isDue = false;
  #failed = false;
  #done: Done;
  #onFailed: (code: string | undefined) => void;
  #onWritten: () => void;
  /** Chunks of which a portion is being written, and the position of those that are due then. */
  #chunks: Chunks | undefined;
  #position = 0;
  #writev: ((chunks: Chunks, done: Done) => void) | undefined;

  constructor(socket: Socket, onFailed: (code: string | undefined) => void, onWritten: () => void) {
    this.#socket = socket;
    const state = (socket as unknown as Inside)._writableState;
    this.#onFailed = onFailed;
    this.#onWritten = onWritten;
    this.#done = state.onwrite;
    state.onwrite = this.#written;
    if ((socket as Partial<TLSSocket>).encrypted === true) this.#writeInPortions(socket);
  }

  readonly #written: Done = (error) => {
    if (error && !this.#failed) {
      this.#failed = true;
      this.#onFailed((error as NodeJS.ErrnoException).code);
    }
    const chunks = this.#failed ? undefined : this.#chunks;
    this.#chunks = undefined;
    if (chunks !== undefined) {
      this.#writePortion(chunks);
      return;
    }
    this.#isDue = true;
    this.#depth += 1;
    this.#done();
    this.#leave();
  };

  write(bytes: Buffer): void {
    this.#depth += 1;
    this.#socket.write(bytes);
    this.#leave();
  }

  uncork(): void {
    this.#depth += 1;
    this.#socket.uncork();
    this.#leave();
  }

  end(): void {
    this.#depth += 1;
    this.#socket.end();
    this.#leave();
  }

  /** Tells of written bytes when the socket's code has returned: Node forgets a chunk that is written while it passes on corked ones. */
  #leave(): void {
    this.#depth -= 1;
    if (this.#depth > 0 || !this.#isDue) return;
    this.#isDue = false;
    this.#onWritten();
  }

  #writeInPortions(socket: Socket): void {
    const writev = socket._writev?.bind(socket);
    if (writev === undefined) return;
    this.#writev = writev as (chunks: Chunks, done: Done) => void;
    const inPortions = (chunks: Chunks) => {
      if (this.#failed) {
        this.#written();
      } else if (socket.writableLength <= PORTION_BYTES || chunks.allBuffers !== true) {
        this.#writev?.(chunks, this.#written);
      } else {
        this.#position = 0;
        this.#writePortion(chunks);
      }
    };
    socket._writev = inPortions as NonNullable<Socket['_writev']>;
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
    this.#writev?.(portion, this.#written);
  }

  /** The socket is closed: it refers no longer to code that wanted to hear of failed writes. */
  forget(): void {
    this.#onFailed = ignore;
    this.#onWritten = ignore;
    this.#done = ignore;
    this.#writev = undefined;
    this.#chunks = undefined;
  }
}

const ignore = (): void => {};

/** The writes of one socket. */
export type OutlivedWrites = Pick<Outlived, 'write' | 'uncork' | 'end' | 'forget'>;

/**
 * After the first write that fails, all writes of `socket` report success; reading continues until the peer's end or a read
 * that fails. `onFailed` is called once, with the system's code. `onWritten` is called when bytes have left the socket, often
 * before `write` returns; `writableLength` is the number that has not. It may write only if all writes are made with the methods of the
 * result. Call `forget` on the result when the socket is closed.
 */
export function outliveFailedWrites(
  socket: Socket,
  onFailed: (code: string | undefined) => void,
  onWritten: () => void = ignore,
): OutlivedWrites {
  return new Outlived(socket, onFailed, onWritten);
}
