// Processes that still run in a network namespace, found by the number of the namespace.

import {fstatSync, readlinkSync} from 'node:fs';
import {readdir, readlink} from 'node:fs/promises';
import {setTimeout as wait} from 'node:timers/promises';

/** A process that forks while it is being ended leaves a child for the next round. */
const ROUNDS = 50;
const ROUND_MS = 10;

/** Kills all processes of this namespace that this user may kill. @param file a descriptor of it. */
export async function killInside(file: number): Promise<void> {
  const link = `net:[${fstatSync(file).ino}]`;
  // This process has never entered the namespace. If it seems so, the number is wrong, and would be that of half the machine.
  if (link === readlinkSync('/proc/self/ns/net')) return;
  for (let round = 0; round < ROUNDS; round += 1) {
    const inside = await processesIn(link);
    if (inside.length === 0) return;
    for (const pid of inside) tryKill(pid);
    await wait(ROUND_MS);
  }
}

async function processesIn(link: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) =>
      (await readlink(`/proc/${pid}/ns/net`).catch(() => '')) === link ? pid : undefined,
    ),
  );
  return found.filter((pid) => pid !== undefined);
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended, or belongs to somebody else.
  }
}
