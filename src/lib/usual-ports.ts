// The ports that a tunnel without a relay elsewhere usually has: the same ones in each run, so that a bookmark works again.

import {currentFolder} from './core/home.js';
import {createHash} from './core/node-crypto.js';

/** Above the ports that Linux gives to outgoing connections (32768 to 60999), so that none of those is in the way. */
const FIRST = 61_000;
const COUNT = 4_500;
/** The same command may run twice, and two commands may have the same port. */
const CANDIDATES = 4;

/**
 * Ports to try in this order. They follow from the use, the state folder (one for each user), the current folder and the
 * upstream, and are not remembered in a file: two runs at the same time cannot overwrite each other's port.
 */
export function usualPorts(use: 'relay' | 'tunnel', stateDir: string, what: string): number[] {
  const hash = createHash('sha256').update([use, stateDir, currentFolder(), what].join('\n')).digest();
  return Array.from({length: CANDIDATES}, (_, at) => FIRST + (hash.readUInt32BE(at * 4) % COUNT));
}
