// The folder of Node's compile cache.

import {isAbsolute, resolve} from 'node:path';

/** `$XDG_CACHE_HOME/tunl`, or `~/.cache/tunl`. bin/compile-cache.js makes it, before any module of tunl is loaded. */
export function compileCache(
  {XDG_CACHE_HOME: caches = '', HOME = ''}: NodeJS.ProcessEnv = process.env,
): string | undefined {
  if (isAbsolute(caches)) return resolve(caches, 'tunl');
  return isAbsolute(HOME) ? resolve(HOME, '.cache', 'tunl') : undefined;
}
