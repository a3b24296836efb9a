// Control groups of version 2, in a part of the tree that this user may change.

import {readFile, rmdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {systemCode, TunlError} from '../../core/errors.js';
import type {Finding, SandboxStats} from '../backend.js';
import type {SandboxLimits} from '../spec.js';
import {everybody, exists, isWritable, makeFolder, sweepFolder} from './cgroup-v1.js';
import {
  type ControlGroup,
  GROUP_LIMITS,
  GROUP_NAME,
  type GroupLimit,
  type GroupMaker,
} from './control-group.js';
import {killAndRemove} from './kill-group.js';
import type {Mounted} from './mounted.js';

export const CONTROLLER: Readonly<Record<GroupLimit, string>> = {
  memoryBytes: 'memory',
  cpus: 'cpu',
  pids: 'pids',
};
const PERIOD_US = 100_000;
const SMALLEST_QUOTA_US = 1_000;

/**
 * The nearest group above this process in which it may make others, and whose children get controllers. A process can be
 * moved only between groups below one that its user may write to, so the groups of a session of systemd do not count.
 */
export async function findV2(mounted: Mounted): Promise<GroupMaker | undefined> {
  const {mount, own} = mounted.v2 ?? {};
  if (mount === undefined || own === undefined) return undefined;
  for (let path = join(mount, own); path.startsWith(mount); path = dirname(path)) {
    if (!(await isWritable(join(path, 'cgroup.procs')))) break;
    const given = await handOn(path, mounted.v2?.own === '/');
    if (given.size > 0) return maker(path, given);
    if (path === mount) break;
  }
  return undefined;
}

/** The controllers that groups below this one have, after an attempt to hand on those that are missing. */
async function handOn(path: string, mayTry: boolean): Promise<Set<string>> {
  const wanted = Object.values(CONTROLLER);
  const file = join(path, 'cgroup.subtree_control');
  const offered = await words(join(path, 'cgroup.controllers'));
  const before = await words(file);
  const missing = wanted.filter((name) => offered.has(name) && !before.has(name));
  // Below the root the kernel refuses it while the group has processes of its own.
  const isEmpty = (await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '-')) === '';
  if (mayTry || isEmpty) {
    for (const name of missing) await writeFile(file, `+${name}`).catch(() => {});
  }
  const after = await words(file);
  return new Set(wanted.filter((name) => after.has(name)));
}

function maker(base: string, given: ReadonlySet<string>): GroupMaker {
  const folder = join(base, GROUP_NAME);
  const finding = (limit: GroupLimit): Finding => {
    const what = `control group (version 2, ${CONTROLLER[limit]})`;
    if (given.has(CONTROLLER[limit])) return {what, reality: 'real'};
    return {what, reality: 'none', why: `The ${CONTROLLER[limit]} controller is not delegated to this user.`};
  };
  return {
    findings: Object.fromEntries(GROUP_LIMITS.map((limit) => [limit, finding(limit)])) as Record<
      GroupLimit,
      Finding
    >,
    make: (sandboxId, limits) => makeV2(folder, given, sandboxId, limits),
    tidy: () => sweepFolder(folder, everybody),
    sweep: (isAlive) => sweepFolder(folder, isAlive),
  };
}

async function makeV2(
  folder: string,
  given: ReadonlySet<string>,
  sandboxId: string,
  limits: SandboxLimits,
): Promise<ControlGroup> {
  const group = new GroupV2(join(folder, sandboxId));
  try {
    await makeFolder(group.folder);
    for (const name of given) await writeFile(join(folder, 'cgroup.subtree_control'), `+${name}`);
    for (const [file, value] of settingsV2(limits)) {
      // The kernel may be built without swap.
      if (file === 'memory.swap.max' && !(await exists(join(group.folder, file)))) continue;
      await writeFile(join(group.folder, file), value, {flag: 'r+'});
    }
    return group;
  } catch (error) {
    await group.destroy();
    throw new TunlError('SANDBOX_LIMIT', {
      reason: `The control group of the sandbox cannot be made (${systemCode(error)}).`,
      cause: error,
    });
  }
}

/** Files and values. */
export function settingsV2({memoryBytes, pids, cpus}: SandboxLimits): [string, string][] {
  const quota = Math.max(SMALLEST_QUOTA_US, Math.round((cpus ?? 0) * PERIOD_US));
  return [
    ...(memoryBytes === undefined
      ? []
      : ([
          ['memory.max', String(memoryBytes)],
          ['memory.swap.max', '0'],
        ] as [string, string][])),
    ...(pids === undefined ? [] : ([['pids.max', String(pids)]] as [string, string][])),
    ...(cpus === undefined ? [] : ([['cpu.max', `${quota} ${PERIOD_US}`]] as [string, string][])),
  ];
}

export class GroupV2 implements ControlGroup {
  readonly folder: string;
  readonly prefix: readonly string[] = [];

  constructor(folder: string) {
    this.folder = folder;
  }

  get enter(): readonly string[] {
    return [join(this.folder, 'cgroup.procs')];
  }

  stats(): Promise<SandboxStats> {
    return statsV2(this.folder);
  }

  oomKills(): Promise<number> {
    return oomKillsV2(this.folder);
  }

  async destroy(): Promise<void> {
    await writeFile(join(this.folder, 'cgroup.kill'), '1').catch(() => {});
    await killAndRemove(this.folder);
    await rmdir(dirname(this.folder)).catch(() => {});
  }
}

export async function statsV2(folder: string): Promise<SandboxStats> {
  const read = (file: string) => readFile(join(folder, file), 'utf8').catch(() => '');
  const [memory, cpu, pids] = await Promise.all([
    read('memory.current'),
    read('cpu.stat'),
    read('pids.current'),
  ]);
  const usage = /^usage_usec (\d+)$/m.exec(cpu)?.[1];
  return {
    memoryBytes: memory === '' ? undefined : Number(memory),
    cpuMs: usage === undefined ? undefined : Math.round(Number(usage) / 1_000),
    pids: pids === '' ? undefined : Number(pids),
  };
}

export async function oomKillsV2(folder: string): Promise<number> {
  const events = await readFile(join(folder, 'memory.events'), 'utf8').catch(() => '');
  return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0);
}

async function words(path: string): Promise<Set<string>> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return new Set(text.trim().split(/\s+/));
}
