// Processes that still run in a network namespace, found by the number of the namespace.

import {fstatSync, readdirSync, readlinkSync} from 'node:fs';
import {setTimeout as wait} from 'node:timers/promises';

/** A process that forks while it is being ended leaves a child for the next round. */
const ROUNDS = 50;
const ROUND_MS = 10;

/** Kills all processes of this namespace that this user may kill. @param file a descriptor of it. */
export async function killInside(file: number): Promise<void> {
  const link = linkOf(file);
  // This process has never entered the namespace. If it seems so, the number is wrong, and would be that of half the machine.
  if (isOwnNamespace(file)) return;
  for (let round = 0; round < ROUNDS; round += 1) {
    const inside = processesIn(link);
    if (inside.length === 0) return;
    for (const pid of inside) tryKill(pid);
    await wait(ROUND_MS);
  }
}

/** Whether it is the network of this process. @param file a descriptor of a namespace */
export function isOwnNamespace(file: number): boolean {
  return linkOf(file) === readlinkSync('/proc/self/ns/net');
}

const linkOf = (file: number): string => `net:[${fstatSync(file).ino}]`;

function processesIn(link: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => namespaceOf(pid) === link);
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    // It has ended, or belongs to somebody else.
    return undefined;
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended, or belongs to somebody else.
  }
}
