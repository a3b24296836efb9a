// A child process that has no streams.

import type {ChildProcess} from 'node:child_process';

/**
 * When this process may open no more files, Node gives a child without streams, and an `error` event in the next turn.
 *
 * @throws Error EMFILE
 */
export function withStreams<T extends ChildProcess>(child: T): T {
  if ((child.stdio as unknown) !== undefined) return child;
  child.on('error', () => {});
  throw Object.assign(new Error('EMFILE: too many open files'), {code: 'EMFILE'});
}
