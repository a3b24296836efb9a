// CPU time and memory of a process and its descendants, from the kernel.

import {readdirSync, readFileSync} from 'node:fs';

/** The kernel's unit of CPU time in /proc, fixed at 100 for programs. */
const TICKS_PER_SECOND = 100;

interface Stat {
  pid: number;
  parent: number;
  userTicks: number;
  systemTicks: number;
}

/** CPU time in seconds: of the program itself, and of the kernel on its behalf. */
export interface CpuTime {
  user: number;
  system: number;
}

/** One process, or the several that are one end of a tunnel. */
export type Pids = number | readonly number[];

/** CPU time of the trees so far. */
export function cpuTimeOf(roots: Pids): CpuTime {
  const members = tree(roots);
  return {
    user: sum(members.map(({userTicks}) => userTicks)) / TICKS_PER_SECOND,
    system: sum(members.map(({systemTicks}) => systemTicks)) / TICKS_PER_SECOND,
  };
}

/** Memory now (VmRSS) or at most so far (VmHWM), in MB of 10^6 bytes. An upper bound where a program forks and shares pages. */
export function memoryMbOf(roots: Pids, field: 'VmRSS' | 'VmHWM'): number {
  return sum(tree(roots).map(({pid}) => statusMb(pid, field)));
}

/** The processes and their current descendants. */
function tree(roots: Pids): Stat[] {
  const all = readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? readStat(Number(entry)) : []));
  const members = new Set(typeof roots === 'number' ? [roots] : roots);
  // A child can have a lower number than its parent: repeat until nobody is added.
  for (let before = 0; before !== members.size; ) {
    before = members.size;
    for (const {pid, parent} of all) if (members.has(parent)) members.add(pid);
  }
  return all.filter(({pid}) => members.has(pid));
}

function readStat(pid: number): Stat[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name may contain spaces and parentheses, so fields are counted from its end.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return [
      {
        pid,
        parent: Number(fields[1]),
        userTicks: Number(fields[11]),
        systemTicks: Number(fields[12]),
      },
    ];
  } catch {
    return []; // It has ended meanwhile.
  }
}

function statusMb(pid: number, field: string): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    return (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024) / 1e6;
  } catch {
    return 0;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
