// A file that a user named, read as text.

import {readFile} from 'node:fs/promises';
import {systemCode, TunlError} from './errors.js';

/** @throws TunlError FILE_UNREADABLE */
export async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new TunlError('FILE_UNREADABLE', {
      reason: `${path} cannot be read (${systemCode(error)}).`,
      cause: error,
    });
  }
}
