// The room of this machine for another session. Below a floor no session starts, so those that run keep what they have.

import {readFile, statfs} from 'node:fs/promises';
import {freemem} from 'node:os';

export interface Floors {
  /** Bytes of memory that stay free. */
  readonly freeMemoryBytes: number;
  /** Bytes that stay free where homes and state are. */
  readonly freeDiskBytes: number;
}

/** A sentence that says what is short; undefined: there is room. @param folder where homes and state are */
export async function shortage(folder: string, floors: Floors): Promise<string | undefined> {
  const [memory, disk] = await Promise.all([availableMemory(), availableDisk(folder)]);
  if (memory < floors.freeMemoryBytes)
    return `This machine has ${mebibytes(memory)} MiB of free memory, and ${mebibytes(floors.freeMemoryBytes)} MiB stay free.`;
  if (disk < floors.freeDiskBytes)
    return `The disk has ${mebibytes(disk)} MiB of free space, and ${mebibytes(floors.freeDiskBytes)} MiB stay free.`;
  return undefined;
}

const mebibytes = (bytes: number) => Math.floor(bytes / 1024 ** 2);

/** The kernel's own estimate, which counts caches that it would give back. */
async function availableMemory(): Promise<number> {
  try {
    const text = await readFile('/proc/meminfo', 'latin1');
    const found = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
    return found === undefined ? freemem() : Number(found) * 1024;
  } catch {
    return freemem();
  }
}

async function availableDisk(folder: string): Promise<number> {
  const {bavail, bsize} = await statfs(folder);
  return bavail * bsize;
}
