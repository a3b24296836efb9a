// The state folder of a tunnel. Where this user's files have no place (no home, a read-only home), it is a temporary one.

import {accessSync, constants, existsSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, isAbsolute, join} from 'node:path';
import {systemCode, TunlError} from './errors.js';
import {stateDir} from './state-dir.js';

export interface UsableState {
  readonly path: string;
  /** Set for a temporary folder: why it is one. It is removed when the process ends. */
  readonly why?: string;
}

let temporary: UsableState | undefined;

/**
 * A folder that the user has chosen (TUNL_STATE_DIR) is never replaced.
 *
 * @param mustWrite a program needs files of its own; a tunnel alone can also use a folder that it can only read
 */
export function usableState({mustWrite = false} = {}, env: NodeJS.ProcessEnv = process.env): UsableState {
  if (env.TUNL_STATE_DIR) return {path: stateDir(env)};
  let path: string;
  try {
    path = stateDir(env);
  } catch {
    return temporaryState('this user has no home folder', env);
  }
  if (!mustWrite && existsSync(path)) return {path};
  const code = writeError(path);
  // Other failures have errors of their own.
  if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM') return {path};
  return temporaryState(`${path} cannot be written (${code})`, env);
}

/** A folder in which later commands find again what is stored now. @throws TunlError STATE_DIR */
export function lastingState(env: NodeJS.ProcessEnv = process.env): string {
  const {path, why} = usableState({mustWrite: true}, env);
  if (why === undefined) return path;
  throw new TunlError('STATE_DIR', {
    reason: `${capitalized(why)}.`,
    next: 'Set TUNL_STATE_DIR to a folder that you can write to.',
  });
}

/** The reason why the folder, or the nearest one above it that exists, cannot be written. */
function writeError(path: string): string | undefined {
  for (let each = path; ; each = dirname(each)) {
    try {
      accessSync(each, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      const code = systemCode(error);
      if (code !== 'ENOENT' || dirname(each) === each) return code;
    }
  }
}

function temporaryState(why: string, env: NodeJS.ProcessEnv): UsableState {
  if (temporary !== undefined) return temporary;
  const path = makeTemporary(why, env);
  process.once('exit', () => rmSync(path, {recursive: true, force: true}));
  temporary = {path, why};
  return temporary;
}

const capitalized = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** @throws TunlError STATE_DIR */
function makeTemporary(why: string, env: NodeJS.ProcessEnv): string {
  // A container with a read-only root often has no other place than its shared memory.
  const places = [tmpdir(), env.XDG_RUNTIME_DIR ?? '', '/dev/shm'].filter((place) => isAbsolute(place));
  let cause: unknown;
  for (const place of places) {
    try {
      return mkdtempSync(join(place, 'tunl-temporary-'));
    } catch (error) {
      cause ??= error;
    }
  }
  throw new TunlError('STATE_DIR', {
    reason: `${capitalized(why)}, and ${places[0]} cannot be written (${systemCode(cause)}).`,
    next: 'Set TUNL_STATE_DIR or TMPDIR to a folder that you can write to.',
    cause,
  });
}
