// Control groups that systemd makes: a scope for each sandbox, of the user's own manager or of the system's.

import {execFile} from 'node:child_process';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import type {Finding, SandboxStats} from '../backend.js';
import {isSandboxId} from '../ids.js';
import type {SandboxLimits} from '../spec.js';
import {exists} from './cgroup-v1.js';
import {CONTROLLER, oomKillsV2, statsV2} from './cgroup-v2.js';
import {
  type ControlGroup,
  GROUP_LIMITS,
  GROUP_NAME,
  type GroupLimit,
  type GroupMaker,
} from './control-group.js';
import type {Mounted} from './mounted.js';

const run = promisify(execFile);
const TIMEOUT_MS = 5_000;
const UNIT = new RegExp(`${GROUP_NAME}-(sb_[a-z0-9]+)\\.scope`, 'g');

const isRoot = (): boolean => process.getuid?.() === 0;
const manager = (): string[] => (isRoot() ? ['--system'] : ['--user']);
const unitOf = (sandboxId: string): string => `${GROUP_NAME}-${sandboxId}.scope`;

/** Undefined: systemd does not run here, has no manager for this user, or gives it no controllers. */
export async function findSystemd(mounted: Mounted): Promise<GroupMaker | undefined> {
  if (mounted.v2 === undefined || !(await exists('/run/systemd/system'))) return undefined;
  const mount = mounted.v2.mount;
  const group = await controlGroup(['--property=ControlGroup', '--value']);
  if (group === undefined) return undefined;
  const offered = await readFile(join(mount, group, 'cgroup.controllers'), 'utf8').catch(() => '');
  const given = new Set(offered.trim().split(/\s+/));
  const finding = (limit: GroupLimit): Finding => {
    const what = `scope of systemd (${CONTROLLER[limit]})`;
    if (given.has(CONTROLLER[limit])) return {what, reality: 'real'};
    return {
      what,
      reality: 'none',
      why: `systemd does not delegate the ${CONTROLLER[limit]} controller to users.`,
      mend: 'As root: mkdir -p /etc/systemd/system/user@.service.d && printf "[Service]\\nDelegate=cpu cpuset io memory pids\\n" > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; then log in again.',
    };
  };
  if (!GROUP_LIMITS.some((limit) => given.has(CONTROLLER[limit]))) return undefined;
  return {
    findings: Object.fromEntries(GROUP_LIMITS.map((limit) => [limit, finding(limit)])) as Record<
      GroupLimit,
      Finding
    >,
    make: (sandboxId, limits) => Promise.resolve(new Scope(mount, sandboxId, limits)),
    // systemd removes an empty scope by itself.
    tidy: () => Promise.resolve(),
    sweep,
  };
}

/** The path of a group below the mount, as systemd's own manager tells it. */
async function controlGroup(words: readonly string[]): Promise<string | undefined> {
  const found = await run('systemctl', [...manager(), 'show', ...words], {timeout: TIMEOUT_MS}).catch(
    () => undefined,
  );
  const path = found?.stdout.trim();
  return path === undefined || !path.startsWith('/') ? undefined : path;
}

async function sweep(isAlive: (sandboxId: string) => Promise<boolean>): Promise<void> {
  const words = [
    ...manager(),
    'list-units',
    '--type=scope',
    '--plain',
    '--no-legend',
    `${GROUP_NAME}-*.scope`,
  ];
  const found = await run('systemctl', words, {timeout: TIMEOUT_MS}).catch(() => undefined);
  for (const [, id = ''] of found?.stdout.matchAll(UNIT) ?? []) {
    if (isSandboxId(id) && !(await isAlive(id))) await end(id);
  }
}

async function end(sandboxId: string): Promise<void> {
  const words = [...manager(), 'kill', '--signal=SIGKILL', unitOf(sandboxId)];
  await run('systemctl', words, {timeout: TIMEOUT_MS}).catch(() => {});
}

class Scope implements ControlGroup {
  readonly enter = [];
  readonly prefix: readonly string[];
  readonly #id: string;
  readonly #mount: string;
  #folder: string | undefined;
  #wasUsed = false;

  constructor(mount: string, sandboxId: string, limits: SandboxLimits) {
    this.#mount = mount;
    this.#id = sandboxId;
    this.prefix = scopeWords(sandboxId, limits);
  }

  async stats(): Promise<SandboxStats> {
    const folder = await this.#path();
    return folder === undefined ? {} : statsV2(folder);
  }

  async oomKills(): Promise<number> {
    const folder = await this.#path();
    return folder === undefined ? 0 : oomKillsV2(folder);
  }

  /** systemd removes the scope when it is empty. */
  async destroy(): Promise<void> {
    if (this.#wasUsed) return;
    this.#wasUsed = true;
    await end(this.#id);
  }

  async #path(): Promise<string | undefined> {
    if (this.#folder === undefined) {
      const group = await controlGroup(['--property=ControlGroup', '--value', unitOf(this.#id)]);
      if (group !== undefined) this.#folder = join(this.#mount, group);
    }
    return this.#folder;
  }
}

/** The words that start a program in a scope. systemd-run moves itself there and becomes the program. */
export function scopeWords(sandboxId: string, {memoryBytes, pids, cpus}: SandboxLimits): string[] {
  const properties = [
    ...(memoryBytes === undefined ? [] : [`MemoryMax=${memoryBytes}`, 'MemorySwapMax=0']),
    ...(pids === undefined ? [] : [`TasksMax=${pids}`]),
    ...(cpus === undefined ? [] : [`CPUQuota=${Math.max(1, Math.round(cpus * 100))}%`]),
  ];
  return [
    'systemd-run',
    ...manager(),
    '--scope',
    '--quiet',
    '--collect',
    `--unit=${unitOf(sandboxId)}`,
    ...properties.map((property) => `--property=${property}`),
    '--',
  ];
}
