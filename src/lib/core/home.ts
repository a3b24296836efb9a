// The user's home folder, and paths that begin with it.

import {homedir} from 'node:os';
import {join} from 'node:path';
import {TunlError} from './errors.js';

/** @throws TunlError STATE_DIR when nothing says where it is */
export function home(env: NodeJS.ProcessEnv = process.env): string {
  if (env.HOME) return env.HOME;
  let cause: unknown;
  try {
    const folder = homedir();
    // In the command it returns nothing instead of an error: see bin/run.js.
    if (folder !== '') return folder;
  } catch (error) {
    cause = error;
  }
  // The user id has no entry in the user database, as in some containers.
  throw new TunlError('STATE_DIR', {reason: 'This user has no home folder.', cause});
}

/**
 * `~/x` as a shell reads it: shells leave it as it is in quotes, in `--flag=~/x` and in files of variables. A folder that is
 * really called `~` is written `./~`.
 */
export function expandHome(path: string, env?: NodeJS.ProcessEnv): string {
  return path === '~' || /^~[/\\]/.test(path) ? join(home(env), path.slice(1)) : path;
}

/** The home folder; `/` when nothing says where it is. */
export function homeOrRoot(env?: NodeJS.ProcessEnv): string {
  try {
    return home(env);
  } catch {
    return '/';
  }
}

/** The current folder; `/` when it was removed. */
export function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}
