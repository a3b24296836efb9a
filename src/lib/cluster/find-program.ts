// Whether the program of a cluster is there, before anything is started.

import {resolve} from 'node:path';
import {TunlError} from '../core/errors.js';
import {which} from '../launch/find.js';
import type {CheckedProgram} from './options.js';

/** @throws TunlError PROGRAM_MISSING */
export async function findProgram(
  program: string,
  {env, cwd}: Pick<CheckedProgram, 'env' | 'cwd'>,
): Promise<void> {
  const path = program.includes('/') ? resolve(cwd, program) : program;
  if ((await which(path, {...process.env, ...env})) !== undefined) return;
  throw new TunlError('PROGRAM_MISSING', {
    reason: `${program} is neither an executable file nor a command in PATH.`,
    next: 'Check its spelling.',
  });
}
