// The fields of Linux's /proc/PID/stat. All are empty for an empty text, as on other systems or after the end of the process.

import {readFile} from 'node:fs/promises';
import {systemCode} from './errors.js';

export interface ProcessStat {
  /** `R`, `S`, `Z`, … */
  readonly state: string;
  readonly parent: string;
  readonly group: string;
  /** The process group in the foreground of its terminal; -1 without a terminal. */
  readonly foreground: string;
  /** The start time: it distinguishes the process from a later one with the same pid, until the system restarts. */
  readonly start: string;
}

export function parseStat(stat: string): ProcessStat {
  // `pid (name) state ppid pgrp session tty_nr tpgid …`: the name may contain spaces and parentheses, so fields count from
  // its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', parent = '', group = '', , , foreground = ''] = fields;
  return {state, parent, group, foreground, start: fields[19] ?? ''};
}

export interface ProcessFacts {
  readonly parent: number;
  readonly group: number;
  /** The start time: it distinguishes the process from a later one with the same pid, until the system restarts. */
  readonly start: string;
}

/** A process without an entry has ended: ESRCH when it ends while its file is open. */
const GONE: readonly string[] = ['ENOENT', 'ESRCH'];

/**
 * Undefined for a process that has ended. A zombie has; in a container it may never be reaped.
 *
 * @throws when the system does not tell, as without a free descriptor: the process may run
 */
export async function factsOf(pid: number): Promise<ProcessFacts | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch((error: unknown) => {
    if (GONE.includes(systemCode(error))) return '';
    throw error;
  });
  const {state, parent, group, start} = parseStat(text);
  if (state === '' || state === 'Z' || state === 'X') return undefined;
  return {parent: Number(parent), group: Number(group), start};
}
