// Makes a folder and those above it. Node's recursive mkdir never ends below /proc, where a folder exists and nothing can be made
// in it.

import {mkdir, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {systemCode} from './errors.js';

/** Existing folders keep their mode. @param mode of the new ones; the umask applies. */
export async function makeFolders(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, {mode});
  } catch (error) {
    const isMissingAbove = systemCode(error) === 'ENOENT' && dirname(path) !== path;
    if (!isMissingAbove && (await isFolder(path))) return;
    if (!isMissingAbove) throw error;
    await makeFolders(dirname(path), mode);
    await mkdir(path, {mode}).catch(async (again: unknown) => {
      // Another process may have made it meanwhile.
      if (!(await isFolder(path))) throw again;
    });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
