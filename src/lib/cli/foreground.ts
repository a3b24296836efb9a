// Tells whether this process is in the terminal's foreground. After Ctrl+Z and `bg`, or with `&`, it is not: then this
// process must not draw over the shell's prompt, and the kernel stops it when it reads the keyboard.

import {readFileSync} from 'node:fs';
import {parseStat} from '../core/process-stat.js';

/** Linux shows it in /proc. On other systems, and without a terminal, the answer is always true. */
export function isForeground(stat = readStat()): boolean {
  const {group, foreground} = parseStat(stat);
  return foreground === '' || foreground === '-1' || group === foreground;
}

function readStat(): string {
  try {
    return readFileSync('/proc/self/stat', 'latin1');
  } catch {
    return '';
  }
}
