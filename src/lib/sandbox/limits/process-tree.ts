// Memory, processor time and processes of a process and all that it has started, from /proc: for machines without control groups.

import {readdir, readFile} from 'node:fs/promises';
import {parseStat} from '../../core/process-stat.js';
import type {SandboxStats} from '../backend.js';

/** The kernel counts time for /proc in hundredths of a second. */
const TICK_MS = 10;

interface Usage {
  readonly parent: number;
  readonly cpuMs: number;
  readonly threads: number;
}

/** Processes that have ended count with the time that their parents have collected. */
export async function statsOfTree(root: number): Promise<SandboxStats> {
  const all = new Map<number, Usage>();
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const usage = await usageOf(name);
    if (usage !== undefined) all.set(Number(name), usage);
  }
  const children = new Map<number, number[]>();
  for (const [pid, {parent}] of all) {
    const list = children.get(parent);
    if (list === undefined) children.set(parent, [pid]);
    else list.push(pid);
  }
  const sum = {memoryBytes: 0, cpuMs: 0, pids: 0};
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    const usage = all.get(pid);
    if (usage === undefined) continue;
    sum.memoryBytes += await residentBytes(pid);
    sum.cpuMs += usage.cpuMs;
    sum.pids += usage.threads;
    open.push(...(children.get(pid) ?? []));
  }
  return sum;
}

async function usageOf(pid: string): Promise<Usage | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  if (text === '') return undefined;
  // Counted from the end of the name: utime, stime, cutime, cstime are 11 to 14, threads 17.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const number = (index: number) => Number(fields[index] ?? 0);
  return {
    parent: Number(parseStat(text).parent),
    cpuMs: (number(11) + number(12) + number(13) + number(14)) * TICK_MS,
    threads: number(17),
  };
}

/** Pages that several processes share count for each of them. */
async function residentBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1_024;
}
