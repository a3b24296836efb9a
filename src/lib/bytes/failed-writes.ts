// Keeps a socket readable after a write to it has failed.
//
// Node destroys a socket whose write fails, with everything that the kernel has received and nobody has read: often the
// answer that says why the peer takes no more.

import type {Socket} from 'node:net';

type Done = (error?: Error | null) => void;

/**
 * From the first write that fails on, writes of `socket` end well and go nowhere; reading goes on until the peer's end
 * or a read that fails. `onFailed` is called once, with the system's code.
 */
export function outliveFailedWrites(socket: Socket, onFailed: (code: string | undefined) => void): void {
  const {_write, _writev} = socket;
  let failed = false;
  // A Writable has one write under way and gives each the same callback, so nothing is allocated for a write.
  let done: Done = () => {};
  const written: Done = (error) => {
    if (error && !failed) {
      failed = true;
      onFailed((error as NodeJS.ErrnoException).code);
    }
    done();
  };
  socket._write = (chunk, encoding, callback) => {
    done = callback;
    if (failed) done();
    else _write.call(socket, chunk, encoding, written);
  };
  if (!_writev) return;
  socket._writev = (chunks, callback) => {
    done = callback;
    if (failed) done();
    else _writev.call(socket, chunks, written);
  };
}
