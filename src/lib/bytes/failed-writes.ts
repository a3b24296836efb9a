// Keeps a socket readable after a write to it has failed.
//
// Node destroys a socket whose write fails, with all unread bytes that the kernel has received: often the
// answer that says why the peer accepts no more.

import type {Socket} from 'node:net';

type Done = (error?: Error | null) => void;

/**
 * After the first write that fails, all writes of `socket` report success and do nothing; reading continues until the peer's
 * end or a read that fails. `onFailed` is called once, with the system's code.
 */
export function outliveFailedWrites(socket: Socket, onFailed: (code: string | undefined) => void): void {
  const {_write, _writev} = socket;
  let failed = false;
  // A Writable has one write at a time and gives each the same callback, so no write allocates anything.
  let done: Done = () => {};
  const written: Done = (error) => {
    if (error && !failed) {
      failed = true;
      onFailed((error as NodeJS.ErrnoException).code);
    }
    done();
  };
  // Function literals that are assigned to a property live until a full collection: see let-go.ts.
  const write: Socket['_write'] = (chunk, encoding, callback) => {
    done = callback;
    if (failed) done();
    else _write.call(socket, chunk, encoding, written);
  };
  socket._write = write;
  if (!_writev) return;
  const writev: typeof _writev = (chunks, callback) => {
    done = callback;
    if (failed) done();
    else _writev.call(socket, chunks, written);
  };
  socket._writev = writev;
}
