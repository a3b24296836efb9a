// The program of the init, as a backend binds it into a sandbox.

import {fileURLToPath} from 'node:url';
import {packageRoot} from '../../core/package-root.js';

/** One file without imports but Node's own. It may have any name inside that ends in `.cjs`, or none. */
export function initFile(): string {
  return fileURLToPath(new URL('dist/bundle/sandbox/init.cjs', packageRoot));
}
