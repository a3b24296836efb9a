// Ends all processes of a control group by its list of them, and removes the folder.

import {readFile, rmdir} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as wait} from 'node:timers/promises';
import {systemCode} from '../../core/errors.js';

/** A killed process leaves its group when its memory is freed. */
const TRIES = 400;
const PAUSE_MS = 5;

export async function processesOf(folder: string): Promise<number[]> {
  const text = await readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => '');
  // Processes of other pid namespaces have pid 0.
  return text
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 1 && pid !== process.pid);
}

/** Kills until the group is empty, because its processes may start others meanwhile. @returns whether it is gone. */
export async function killAndRemove(folder: string): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const error = await rmdir(folder).then(
      () => undefined,
      (reason: unknown) => systemCode(reason),
    );
    if (error === undefined || error === 'ENOENT') return true;
    if (error !== 'EBUSY' && error !== 'ENOTEMPTY') return false;
    for (const pid of await processesOf(folder)) kill(pid);
    await wait(PAUSE_MS);
  }
  return false;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
