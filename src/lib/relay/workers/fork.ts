// Starts the process of a worker.

import {type ChildProcess, fork} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {childEnv} from '../../core/child-env.js';
import {packageRoot} from '../../core/package-root.js';

/** Settings, with the token, go over the channel. The number is an argument only so that `ps` shows it. */
export function forkWorker(number: number): ChildProcess {
  return fork(fileURLToPath(new URL('dist/bundle/workers/main.js', packageRoot)), [String(number)], {
    env: childEnv(),
    // Node's report of a crash belongs to the relay's stderr.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}
