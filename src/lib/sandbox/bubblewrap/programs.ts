// The programs of the host that start a sandbox.

import {execFile} from 'node:child_process';
import {delimiter, join} from 'node:path';
import {isExecutable} from '../../core/executable.js';

/** Some of these are not in the PATH of every user. */
const PLACES = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'];
const TIMEOUT_MS = 5_000;

/** The absolute path, of the system's own program before one of the user; undefined: not installed. */
export function findProgram(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  return [...PLACES, ...folders].map((folder) => join(folder, name)).find(isExecutable);
}

export interface ShortRun {
  /** -1: it could not be started, was killed or took too long. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Never rejects. */
export function runShort(program: string, words: readonly string[]): Promise<ShortRun> {
  const env = {PATH: PLACES.join(delimiter), LANG: 'C.UTF-8'};
  return new Promise((resolve) => {
    execFile(program, words, {env, timeout: TIMEOUT_MS, maxBuffer: 64 * 1024}, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : -1;
      resolve({code: error === null ? 0 : code, stdout, stderr});
    });
  });
}
