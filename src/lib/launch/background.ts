// Starts a command in the background: in a separate session, with its output in a file, and waits for its first message.

import {type ChildProcess, spawn} from 'node:child_process';
import {open} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {isSource, packageRoot} from '../core/package-root.js';
import {isBackgroundId} from './roster.js';

/** The environment variable that gives a command in the background its id. */
const VARIABLE = 'TUNL_BACKGROUND';

/** The package's own command: the script of this process may be another program, which uses tunl as a library. */
const COMMAND = fileURLToPath(new URL(isSource ? 'bin/dev.js' : 'bin/run.js', packageRoot));

export interface Background {
  readonly child: ChildProcess;
  /** The first message of the command; undefined when it ended without one. */
  readonly first: Promise<unknown>;
  /** Detaches from the process. */
  release(): void;
}

/** @param words of the command line, without the name of the command itself */
export async function startInBackground(
  id: string,
  words: readonly string[],
  logPath: string,
): Promise<Background> {
  const log = await open(logPath, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [...process.execArgv, COMMAND, ...words], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
      env: {...process.env, [VARIABLE]: id},
    });
    const first = new Promise<unknown>((resolve, reject) => {
      child.once('error', reject);
      child.once('message', resolve);
      child.once('exit', () => resolve(undefined));
    });
    // It may reject while the log is being closed.
    first.catch(() => {});
    return {
      child,
      first,
      release: () => {
        if (child.connected) child.disconnect();
        child.unref();
      },
    };
  } finally {
    await log.close();
  }
}

/** The id of this process when it is in the background. The variable is removed, so that child processes do not get it. */
export function takeBackgroundId(): string | undefined {
  const id = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return id !== undefined && isBackgroundId(id) && process.send !== undefined ? id : undefined;
}

/** Sends the first message to the command in the foreground, which may be gone. */
export async function sayFirst(message: object): Promise<void> {
  if (!process.connected) return;
  await new Promise<void>((resolve) => {
    process.send?.(message, undefined, undefined, () => resolve());
  });
  if (process.connected) process.disconnect();
}
