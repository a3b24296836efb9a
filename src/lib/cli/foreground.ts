// Tells whether this process is in the terminal's foreground. After Ctrl+Z and `bg`, or with `&`, the shell is: then this
// process must not draw over the prompt, and the kernel stops it when it reads the keyboard.

import {readFileSync} from 'node:fs';

/** Linux shows it in /proc. On other systems, and without a terminal, the answer is always true. */
export function isForeground(stat = readStat()): boolean {
  // `pid (name) state ppid pgrp session tty_nr tpgid …`: the name may hold spaces and brackets.
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return foreground === undefined || foreground === '-1' || group === foreground;
}

function readStat(): string {
  try {
    return readFileSync('/proc/self/stat', 'latin1');
  } catch {
    return '';
  }
}
