// Which processes belong to a started program, and ending them all.
//
// A program belongs together by its process group. What leaves the group (kernels, terminals, daemons) is still known by
// the mark in its environment, which children inherit; that needs /proc, so elsewhere than on Linux the group is all.
// sshd wipes its sessions' environment: they are known as its children, as long as it lives.
import {readdir, readFile} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {run} from './run.js';

/** The variable that marks every process of a launch. Taken out (`env -u TUNL_LAUNCH …`) a process outlives the launch. */
export const MARK = 'TUNL_LAUNCH';

export interface Family {
  /** Process group: the pid of the program itself. */
  readonly group: number;
  /** Random; the value of MARK in the program's environment. */
  readonly mark: string;
}

export interface Members {
  /** In the process group. */
  readonly group: readonly number[];
  /** Outside the group, with the mark. */
  readonly strays: readonly number[];
  /** The program's own children, wherever they are. */
  readonly children: readonly number[];
}

/** The living processes of a family; zombies and this process are none. */
export async function membersOf(family: Family): Promise<Members> {
  return process.platform === 'linux' ? membersByProc(family) : membersByPs(family);
}

async function membersByProc(family: Family): Promise<Members> {
  const mark = `${MARK}=${family.mark}`;
  const group: number[] = [];
  const strays: number[] = [];
  const children: number[] = [];
  await Promise.all(
    (await readdir('/proc')).map(async (name) => {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === process.pid) return;
      const [state, parent, pgrp] = stateOf(await read(`/proc/${pid}/stat`));
      if (!isLiving(state)) return;
      if (Number(parent) === family.group) children.push(pid);
      if (Number(pgrp) === family.group) group.push(pid);
      else if ((await read(`/proc/${pid}/environ`)).includes(mark)) strays.push(pid);
    }),
  );
  return {group, strays, children};
}

/** '' for what is gone or belongs to somebody else. */
async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return '';
  }
}

async function membersByPs(family: Family): Promise<Members> {
  const {stdout} = await run('ps', ['-A', '-o', 'pid=,pgid=,stat=']);
  const group = stdout.split('\n').flatMap((line) => {
    const [pid, pgid, state] = line.trim().split(/\s+/);
    return Number(pgid) === family.group && !state?.startsWith('Z') ? [Number(pid)] : [];
  });
  return {group, strays: [], children: []};
}

/** Signals a process (or, negative, a group) that may be gone or not ours. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already (ESRCH) or not ours to end (EPERM): neither can be helped here.
  }
}

/**
 * Ends a family: SIGTERM to the group; what is outside the group gets it only when the group has gone, because a program
 * that ends in order ends its own (Jupyter its kernels); SIGKILL to whatever is left after `graceMs`.
 */
export async function endFamily(family: Family, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  // Who was seen once is remembered: an end of the program makes its children somebody else's, and a session of sshd that
  // had the mark a moment ago may have wiped it.
  const seen = new Set<number>();
  const outside = async () => {
    const {group, strays, children} = await membersOf(family);
    for (const pid of [...strays, ...children]) seen.add(pid);
    const others = [...seen].filter((pid) => !group.includes(pid));
    const alive = await Promise.all(others.map(isAlive));
    return {group, others: others.filter((_, i) => alive[i])};
  };
  await outside();
  signalQuietly(-family.group, 'SIGTERM');
  const told = new Set<number>();
  let waitMs = 10;
  while (performance.now() < deadline) {
    const {group, others} = await outside();
    if (group.length === 0) {
      if (others.length === 0) return;
      for (const pid of others) if (!told.has(pid)) signalQuietly(pid, 'SIGTERM');
      for (const pid of others) told.add(pid);
    }
    await sleep(waitMs);
    waitMs = Math.min(waitMs * 1.5, 100);
  }
  // Twice, since a process may have been forked between the look and the signal.
  for (let turn = 0; turn < 2; turn++) {
    const {group, others} = await outside();
    if (group.length === 0 && others.length === 0) return;
    signalQuietly(-family.group, 'SIGKILL');
    for (const pid of others) signalQuietly(pid, 'SIGKILL');
    await sleep(20);
  }
}

async function isAlive(pid: number): Promise<boolean> {
  if (process.platform === 'linux') return isLiving(stateOf(await read(`/proc/${pid}/stat`))[0]);
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** From `pid (name) state ppid pgrp …`; the name may hold spaces and parentheses, so count from its end. */
function stateOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** A zombie has ended; in a container nobody may ever ask for it. */
function isLiving(state: string | undefined): boolean {
  return state !== undefined && state !== '' && state !== 'Z' && state !== 'X';
}
