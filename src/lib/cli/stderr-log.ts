// Bounds the log of a process in the background, which is its stderr: a full log starts a new file.

import {BoundedLog} from '../launch/bounded-log.js';

const STDERR = 2;

/** For the rest of the process: each write to stderr, also a program's flood, makes room first. */
export function boundStderr(path: string): void {
  const log = new BoundedLog(path, STDERR);
  const {stderr} = process;
  const write = stderr.write.bind(stderr);
  stderr.write = ((...words: Parameters<typeof write>) => {
    log.makeRoom();
    return write(...words);
  }) as typeof stderr.write;
}
