// Where control groups are mounted, and in which ones this process is.

import {readFile} from 'node:fs/promises';

export interface Hierarchy {
  /** Path of the mount. */
  readonly mount: string;
  /** Path of this process's group below the mount; undefined: it is outside of what the mount shows. */
  readonly own: string | undefined;
}

export interface Mounted {
  /** By controller: `memory`, `pids`, `cpu`, `cpuacct`. */
  readonly v1: ReadonlyMap<string, Hierarchy>;
  readonly v2: Hierarchy | undefined;
}

export async function readMounted(): Promise<Mounted> {
  const [mounts, groups] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8').catch(() => ''),
    readFile('/proc/self/cgroup', 'utf8').catch(() => ''),
  ]);
  return parseMounted(mounts, groups);
}

export function parseMounted(mountinfo: string, cgroups: string): Mounted {
  /** By controller; '' is version 2. */
  const paths = new Map<string, string>();
  for (const line of cgroups.split('\n')) {
    const [, controllers, ...path] = line.split(':');
    for (const controller of controllers?.split(',') ?? []) paths.set(controller, path.join(':'));
  }
  const v1 = new Map<string, Hierarchy>();
  let v2: Hierarchy | undefined;
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '/', mount = ''] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    if (type === 'cgroup2') v2 ??= {mount: plain(mount), own: below(plain(root), paths.get(''))};
    if (type !== 'cgroup') continue;
    for (const option of options.split(',')) {
      if (paths.has(option) && !v1.has(option))
        v1.set(option, {mount: plain(mount), own: below(plain(root), paths.get(option))});
    }
  }
  return {v1, v2};
}

/** A container's mount shows a part of the tree, whose root stands in mountinfo. */
function below(root: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  if (root === '/') return path;
  if (path === root) return '/';
  return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined;
}

/** mountinfo writes spaces and other odd characters as octal numbers. */
const plain = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
