// `--mount SRC:DST[:ro]`: a folder or file of the host that is visible inside.

import {realpath} from 'node:fs/promises';
import {posix, resolve} from 'node:path';
import {systemCode, TunlError} from '../../core/errors.js';
import {expandHome} from '../../core/home.js';
import type {SandboxMount} from '../../sandbox/spec.js';

/** @throws TunlError OPTION_INVALID, FOLDER_MISSING */
export async function mountOf(text: string): Promise<SandboxMount> {
  const parts = text.split(':');
  const mode = parts.length > 2 ? parts.pop() : undefined;
  const [source = '', target = '', ...rest] = parts;
  if (
    source === '' ||
    rest.length > 0 ||
    !posix.isAbsolute(target) ||
    ![undefined, 'ro', 'rw'].includes(mode)
  ) {
    throw new TunlError('OPTION_INVALID', {
      reason: `--mount: ${JSON.stringify(text.slice(0, 200))} is not possible.`,
      next: 'Write it like ./data:/data or ./data:/data:ro. The second path is one inside, and begins with `/`.',
    });
  }
  const wanted = resolve(expandHome(source));
  const real = await realpath(wanted).catch((error: unknown) => {
    throw new TunlError('FOLDER_MISSING', {
      reason: `--mount: ${wanted} cannot be used (${systemCode(error)}).`,
      next: 'Give the path of a folder or file that exists.',
      cause: error,
    });
  });
  return {source: real, target: posix.normalize(target), readOnly: mode === 'ro'};
}
