// Whether the terminal is this process's at the moment: after Ctrl+Z and `bg`, or with `&`, it is the shell's, and whoever
// draws over its prompt or reads its keyboard is in the way (and stopped by the kernel for reading).

import {readFileSync} from 'node:fs';

/** Linux says it in /proc; elsewhere, and without a terminal, it is taken for granted. */
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
