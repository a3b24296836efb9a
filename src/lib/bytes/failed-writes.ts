// Keeps a socket readable after a write to it has failed.
//
// Node destroys a socket whose write fails, with all unread bytes that the kernel has received: often the
// answer that says why the peer accepts no more.

import type {Socket} from 'node:net';

type Done = (error?: Error | null) => void;
type Chunks = {chunk: unknown; encoding: BufferEncoding}[];

/** A Writable has one write at a time, so no write allocates anything. */
class Outlived {
  failed = false;
  done: Done = () => {};
  readonly write: Socket['_write'];
  readonly writev: Socket['_writev'];
  readonly #onFailed: (code: string | undefined) => void;

  constructor({_write, _writev}: Socket, onFailed: (code: string | undefined) => void) {
    this.write = _write;
    this.writev = _writev;
    this.#onFailed = onFailed;
  }

  readonly written: Done = (error) => {
    if (error && !this.failed) {
      this.failed = true;
      this.#onFailed((error as NodeJS.ErrnoException).code);
    }
    this.done();
  };
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
  else state.writev?.call(this, chunks, state.written);
}
