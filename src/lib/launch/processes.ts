// Finds all processes of a started program, and ends them.
//
// The process group holds a program's processes. Processes that leave it (kernels, terminals, daemons) keep the mark in
// their environment, which children inherit. Reading it needs /proc, so on other systems than Linux only the group counts.
// A marked process of another user counts only as a descendant, because anybody can set a mark in an environment.
// sshd clears its sessions' environment; the sessions are found as its children while it lives.

import {setTimeout as sleep} from 'node:timers/promises';
import {systemClock} from '../core/clock.js';
import {factsOf, type ProcessFacts} from '../core/process-stat.js';
import {environmentOf, pidsOf, realUidOf} from './proc.js';
import {run} from './run.js';

/** The variable that marks every process of a launch. Without it (`env -u TUNL_LAUNCH …`) a process outlives the launch. */
export const MARK = 'TUNL_LAUNCH';

export interface Family {
  /** Process group: the pid of the program itself. */
  readonly group: number;
  /** Random; the value of MARK in the program's environment. */
  readonly mark: string;
  /** The program waits for the command, its only child, and holds signals back. */
  readonly waits?: boolean | undefined;
}

export interface Members {
  /** The pids in the process group. */
  readonly group: readonly number[];
  /** Outside the group, with the mark, and of this user or started by one of the family. */
  readonly strays: readonly number[];
  /** The program's own children, wherever they are. */
  readonly children: readonly number[];
  /** When each process started, to distinguish it from a later one with its pid. */
  readonly starts: ReadonlyMap<number, string>;
}

/** The living processes of a family, without zombies and this process. */
export async function membersOf(family: Family): Promise<Members> {
  return process.platform === 'linux' ? membersByProc(family) : membersByPs(family);
}

async function membersByProc(family: Family): Promise<Members> {
  const mark = `${MARK}=${family.mark}`;
  const all = new Map<number, ProcessFacts>();
  await Promise.all(
    (await pidsOf()).map(async (pid) => {
      const facts = pid === process.pid ? undefined : await factsOf(pid).catch(() => undefined);
      if (facts !== undefined) all.set(pid, facts);
    }),
  );
  const pids = [...all.keys()];
  const outside = pids.filter((pid) => all.get(pid)?.group !== family.group);
  const marked = await Promise.all(
    outside.map(
      async (pid) =>
        (await environmentOf(pid)).includes(mark) && (descends(pid, family, all) || (await isOurs(pid))),
    ),
  );
  return {
    group: pids.filter((pid) => all.get(pid)?.group === family.group),
    strays: outside.filter((_, i) => marked[i]),
    children: pids.filter((pid) => all.get(pid)?.parent === family.group),
    starts: new Map([...all].map(([pid, {start}]) => [pid, start])),
  };
}

/**
 * Root can read every environment, and anybody can set a mark. So a process of another user belongs to the family only when
 * its chain of parents leads there.
 */
async function isOurs(pid: number): Promise<boolean> {
  return (await realUidOf(pid)) === process.getuid?.();
}

function descends(pid: number, {group}: Family, all: ReadonlyMap<number, ProcessFacts>): boolean {
  // The processes were not read at one moment, so a reused pid could make a circle.
  const seen = new Set<number>();
  for (let each = all.get(pid); each !== undefined && !seen.has(each.parent); each = all.get(each.parent)) {
    if (each.group === group || each.parent === group) return true;
    seen.add(each.parent);
  }
  return false;
}

async function membersByPs(family: Family): Promise<Members> {
  const {stdout} = await run('ps', ['-A', '-o', 'pid=,pgid=,stat=']);
  const group = stdout.split('\n').flatMap((line) => {
    const [pid, pgid, state] = line.trim().split(/\s+/);
    return Number(pgid) === family.group && !state?.startsWith('Z') ? [Number(pid)] : [];
  });
  return {group, strays: [], children: [], starts: new Map()};
}

/** Signals a process (or, negative, a group) that may be gone or not ours. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has gone already (ESRCH) or belongs to another user (EPERM); nothing more can be done here.
  }
}

/** A command such as `timeout` leaves the group of the process that waits for it. */
async function askCommand(pid: number): Promise<void> {
  const facts = await factsOf(pid).catch(() => undefined);
  signalQuietly(facts?.group === pid ? -pid : pid, 'SIGTERM');
}

/**
 * Ends a family. The group gets SIGTERM first. Processes outside the group get it when the group is gone, because a program
 * that ends in order ends its own children (Jupyter its kernels). After `graceMs` the rest gets SIGKILL.
 */
export async function endFamily(family: Family, graceMs: number): Promise<void> {
  const deadline = systemClock.now() + graceMs;
  // Every process that was seen is remembered: after the end of the program its children have another parent, and a session
  // of sshd may have cleared the mark.
  const seen = new Map<number, string | undefined>();
  const outside = async () => {
    const {group, strays, children, starts} = await membersOf(family);
    for (const pid of [...strays, ...children]) seen.set(pid, starts.get(pid));
    const isSame = (pid: number) => starts.has(pid) && starts.get(pid) === seen.get(pid);
    return {group, children, others: [...seen.keys()].filter((pid) => !group.includes(pid) && isSame(pid))};
  };
  const {group: first} = await outside();
  signalQuietly(-family.group, 'SIGTERM');
  const asked = new Set(first);
  const told = new Set<number>();
  let waitMs = 10;
  while (systemClock.now() < deadline) {
    const {group, others, children} = await outside();
    for (const pid of family.waits ? children : []) if (!asked.has(pid)) await askCommand(pid);
    for (const pid of children) asked.add(pid);
    if (group.length === 0) {
      if (others.length === 0) return;
      for (const pid of others) if (!told.has(pid)) signalQuietly(pid, 'SIGTERM');
      for (const pid of others) told.add(pid);
    }
    await sleep(waitMs);
    waitMs = Math.min(waitMs * 1.5, 100);
  }
  // This runs twice, because a process may fork between the search and the signal.
  for (let turn = 0; turn < 2; turn++) {
    const {group, others} = await outside();
    if (group.length === 0 && others.length === 0) return;
    signalQuietly(-family.group, 'SIGKILL');
    for (const pid of others) signalQuietly(pid, 'SIGKILL');
    await sleep(20);
  }
}
