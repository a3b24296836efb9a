// The folder of tunl's package. A module cannot count the folders above itself, because its code also runs from the bundle.

import {existsSync} from 'node:fs';

export const packageRoot: URL = rootAbove(import.meta.url);

/** True when the sources run without a build. */
export const isSource: boolean = import.meta.url.endsWith('.ts');

function rootAbove(file: string): URL {
  for (let folder = new URL('.', file); ; folder = new URL('..', folder)) {
    const isTop = new URL('..', folder).href === folder.href;
    if (isTop || existsSync(new URL('package.json', folder))) return folder;
  }
}
