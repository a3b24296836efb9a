// stderr of a process in the background is its log: it begins anew when it is full.

import {BoundedLog} from '../launch/bounded-log.js';

const STDERR = 2;

/** For the rest of the process: whoever writes to stderr, a line or a program's flood, finds room or makes it. */
export function boundStderr(path: string): void {
  const log = new BoundedLog(path, STDERR);
  const {stderr} = process;
  const write = stderr.write.bind(stderr);
  stderr.write = ((...words: Parameters<typeof write>) => {
    log.makeRoom();
    return write(...words);
  }) as typeof stderr.write;
}
