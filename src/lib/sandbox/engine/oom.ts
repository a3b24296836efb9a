// Whether the kernel has killed a process of a container because its memory was used up. Engines tell it for the first process
// alone, or only after the container's end.

import {readFile} from 'node:fs/promises';

const ROOT = '/sys/fs/cgroup';

/** The files that count kills in the container of this process. They are read later: a dead process has no groups any more. */
export async function oomFiles(pid: number): Promise<readonly string[]> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')).split('\n');
  return lines.flatMap((line) => {
    const [, controllers = '', path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined || path === '/') return [];
    if (controllers.split(',').includes('memory')) return [`${ROOT}/memory${path}/memory.oom_control`];
    return controllers === '' ? [`${ROOT}${path}/memory.events`] : [];
  });
}

export async function hasKilled(files: readonly string[]): Promise<boolean> {
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0) return true;
  }
  return false;
}
