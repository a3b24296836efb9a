// What programs may leave behind on this machine: processes, control groups, mounts.

import {execFileSync} from 'node:child_process';
import {readdirSync, readFileSync} from 'node:fs';

/** The control groups of these sandboxes. Other tests may have some as well. */
export function groupsOf(...ids: string[]): string[] {
  const find = 'find /sys/fs/cgroup -type d -name "*sb_*" 2>/dev/null';
  const all = execFileSync('sh', ['-c', `${find} || true`], {encoding: 'utf8'}).split('\n');
  return all.filter((path) => ids.some((id) => path.includes(id)));
}

export interface Proc {
  pid: number;
  args: string;
}

export function processes(): Proc[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const args = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return [{pid: Number(name), args}];
      } catch {
        return [];
      }
    });
}

/** The lines of mounts that have one of these words. */
export function mountsOf(...ids: string[]): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return mounts.filter((line) => ids.some((id) => line.includes(id)));
}
