// The fields of Linux's /proc/PID/stat. Of an empty text, as elsewhere and of a process that has ended, all are empty.

export interface ProcessStat {
  /** `R`, `S`, `Z`, … */
  readonly state: string;
  readonly parent: string;
  readonly group: string;
  /** The process group in the foreground of its terminal; -1 without a terminal. */
  readonly foreground: string;
  /** The start time: it tells the process from a later one with the same pid, until the system restarts. */
  readonly start: string;
}

export function parseStat(stat: string): ProcessStat {
  // `pid (name) state ppid pgrp session tty_nr tpgid …`: the name may hold spaces and parentheses, so fields count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', parent = '', group = '', , , foreground = ''] = fields;
  return {state, parent, group, foreground, start: fields[19] ?? ''};
}
