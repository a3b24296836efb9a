// Programs of a project are not in PATH: `vite` is node_modules/.bin/vite, in this folder or one above.

import {dirname, join} from 'node:path';

/** The possible paths of a program given by name, the nearest first. */
export function projectBins(bin: string, folder: string): string[] {
  if (bin.includes('/')) return [];
  const here = join(folder, 'node_modules', '.bin', bin);
  const above = dirname(folder);
  return above === folder ? [here] : [here, ...projectBins(bin, above)];
}
