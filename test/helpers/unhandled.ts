// Rejections that nobody has taken: each of them ends a process of tunl.

import {setImmediate} from 'node:timers/promises';
import type {Scope} from './scope.js';

/** Returns a function that gives those since the start, up to its own call. The runner of the tests does not see them. */
export function unhandledRejections(scope: Scope): () => Promise<readonly unknown[]> {
  const seen: unknown[] = [];
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', (reason) => seen.push(reason));
  scope.onEnd(() => {
    process.removeAllListeners('unhandledRejection');
    for (const other of others) process.on('unhandledRejection', other);
  });
  return async () => {
    // Node tells of them when the microtasks of a turn have run.
    await setImmediate();
    return seen;
  };
}
