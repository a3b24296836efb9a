// Control groups of version 1: one folder in each controller's own tree.

import {access, constants, mkdir, readdir, readFile, rmdir, stat, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {systemCode, TunlError} from '../../core/errors.js';
import type {Finding, SandboxStats} from '../backend.js';
import {isSandboxId} from '../ids.js';
import type {SandboxLimits} from '../spec.js';
import {
  type ControlGroup,
  GROUP_LIMITS,
  GROUP_NAME,
  type GroupLimit,
  type GroupMaker,
} from './control-group.js';
import {killAndRemove} from './kill-group.js';
import type {Mounted} from './mounted.js';

/** The controller that holds a limit, and the file that does it. */
const CONTROLLERS: Readonly<Record<GroupLimit, {controller: string; file: string}>> = {
  memoryBytes: {controller: 'memory', file: 'memory.limit_in_bytes'},
  cpus: {controller: 'cpu', file: 'cpu.cfs_quota_us'},
  pids: {controller: 'pids', file: 'pids.max'},
};
/** Holds nothing, but counts. */
const ACCOUNTING = 'cpuacct';
const PERIOD_US = 100_000;
/** The kernel refuses less. */
const SMALLEST_QUOTA_US = 1_000;

/** Undefined: there are no such groups here, or this user may not make them. */
export async function findV1(mounted: Mounted): Promise<GroupMaker | undefined> {
  const roots = new Map<string, string>();
  for (const controller of [...GROUP_LIMITS.map((limit) => CONTROLLERS[limit].controller), ACCOUNTING]) {
    const mount = mounted.v1.get(controller)?.mount;
    if (mount !== undefined && (await isWritable(mount))) roots.set(controller, mount);
  }
  if (roots.size === 0) return undefined;
  const findings = Object.fromEntries(
    await Promise.all(GROUP_LIMITS.map(async (limit) => [limit, await find(limit, roots)])),
  ) as Record<GroupLimit, Finding>;
  const sweep: GroupMaker['sweep'] = async (isAlive) => {
    for (const root of roots.values()) await sweepFolder(join(root, GROUP_NAME), isAlive);
  };
  return {
    findings,
    make: (sandboxId, limits) => makeV1(roots, sandboxId, limits),
    tidy: () => sweep(everybody),
    sweep,
  };
}

async function find(limit: GroupLimit, roots: ReadonlyMap<string, string>): Promise<Finding> {
  const {controller, file} = CONTROLLERS[limit];
  const root = roots.get(controller);
  // The root group has no limit of its own in the pids controller.
  const isThere = root !== undefined && (limit === 'pids' || (await exists(join(root, file))));
  return isThere
    ? {what: `control group (version 1, ${controller})`, reality: 'real'}
    : {
        what: `control group (version 1, ${controller})`,
        reality: 'none',
        why: `The kernel has no ${controller} controller, or this user may not make control groups in it.`,
      };
}

/** Groups are below one folder at the root of what this process sees, so that they outlive the session that starts them. */
async function makeV1(
  roots: ReadonlyMap<string, string>,
  sandboxId: string,
  limits: SandboxLimits,
): Promise<ControlGroup> {
  const group = new GroupV1(
    new Map([...roots].map(([controller, root]) => [controller, join(root, GROUP_NAME, sandboxId)])),
  );
  try {
    for (const folder of group.all) await makeFolder(folder);
    await group.write('memory', 'memory.swappiness', '0', true);
    if (limits.memoryBytes !== undefined) {
      await group.write('memory', 'memory.limit_in_bytes', String(limits.memoryBytes));
      // Missing where the kernel does not count swap; then the swappiness of 0 has to do.
      await group.write('memory', 'memory.memsw.limit_in_bytes', String(limits.memoryBytes), true);
    }
    if (limits.pids !== undefined) await group.write('pids', 'pids.max', String(limits.pids));
    if (limits.cpus !== undefined) {
      const quota = Math.max(SMALLEST_QUOTA_US, Math.round(limits.cpus * PERIOD_US));
      await group.write('cpu', 'cpu.cfs_period_us', String(PERIOD_US));
      await group.write('cpu', 'cpu.cfs_quota_us', String(quota));
    }
    return group;
  } catch (error) {
    await group.destroy();
    throw error instanceof TunlError
      ? error
      : new TunlError('SANDBOX_LIMIT', {
          reason: `The control group of the sandbox cannot be made (${systemCode(error)}).`,
          cause: error,
        });
  }
}

class GroupV1 implements ControlGroup {
  readonly folders: ReadonlyMap<string, string>;
  readonly prefix = [];

  constructor(folders: ReadonlyMap<string, string>) {
    this.folders = folders;
  }

  /** Controllers that are mounted together have one folder. */
  get all(): readonly string[] {
    return [...new Set(this.folders.values())];
  }

  get enter(): readonly string[] {
    return this.all.map((folder) => join(folder, 'cgroup.procs'));
  }

  /** @param optional the file may be missing. */
  async write(controller: string, file: string, value: string, optional = false): Promise<void> {
    const folder = this.folders.get(controller);
    if (folder === undefined) {
      if (optional) return;
      throw new TunlError('SANDBOX_LIMIT', {reason: `There is no ${controller} controller.`});
    }
    await writeFile(join(folder, file), value, {flag: 'r+'}).catch((error: unknown) => {
      if (!optional) throw error;
    });
  }

  async stats(): Promise<SandboxStats> {
    const [memory, cpu, pids] = await Promise.all([
      this.#number('memory', 'memory.usage_in_bytes'),
      this.#number(ACCOUNTING, 'cpuacct.usage'),
      this.#number('pids', 'pids.current'),
    ]);
    return {memoryBytes: memory, cpuMs: cpu === undefined ? undefined : Math.round(cpu / 1e6), pids};
  }

  async oomKills(): Promise<number> {
    const text = await this.#read('memory', 'memory.oom_control');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  async destroy(): Promise<void> {
    for (const folder of this.all) {
      await killAndRemove(folder);
      // Fails while other sandboxes are in it.
      await rmdir(dirname(folder)).catch(() => {});
    }
  }

  async #number(controller: string, file: string): Promise<number | undefined> {
    const text = await this.#read(controller, file);
    return text === '' ? undefined : Number(text);
  }

  #read(controller: string, file: string): Promise<string> {
    const folder = this.folders.get(controller);
    return folder === undefined ? Promise.resolve('') : readFile(join(folder, file), 'utf8').catch(() => '');
  }
}

/** The folder above may be removed by the end of another sandbox, between its making and ours. */
export async function makeFolder(folder: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    await mkdir(dirname(folder)).catch(() => {});
    try {
      await mkdir(folder);
      return;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || tries === 10) throw error;
    }
  }
}

/**
 * Removes the groups in this folder whose sandboxes have no living owner, and those that have been empty for long: the state
 * folder of their owners may be gone.
 */
export async function sweepFolder(
  folder: string,
  isAlive: (sandboxId: string) => Promise<boolean>,
): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter(isSandboxId)) {
    const group = join(folder, name);
    if (!(await isAlive(name))) await killAndRemove(group);
    else if (await isForsaken(group)) await rmdir(group).catch(() => {});
  }
  if (names.length > 0) await rmdir(folder).catch(() => {});
}

export const everybody = (): Promise<boolean> => Promise.resolve(true);

/** A younger group may wait for its first process. */
const FORSAKEN_MS = 60_000;

async function isForsaken(group: string): Promise<boolean> {
  const made = await stat(group).catch(() => undefined);
  if (made === undefined || Date.now() - made.mtimeMs < FORSAKEN_MS) return false;
  return (await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '-')) === '';
}

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

export const isWritable = (path: string): Promise<boolean> =>
  access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
