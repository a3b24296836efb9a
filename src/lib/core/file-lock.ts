// A lock between processes of one user: a file with the number of the process that has it.

import {open, readFile, rename, rm} from 'node:fs/promises';
import {setTimeout as wait} from 'node:timers/promises';
import {systemCode, TunlError} from './errors.js';
import {randomUUID} from './node-crypto.js';

const WAIT_MS = 10_000;
const TRY_EVERY_MS = 25;

/** Runs `action` while no other process has the lock. @throws TunlError STATE_DIR, or what `action` throws */
export async function withLock<T>(path: string, action: () => Promise<T>, waitMs = WAIT_MS): Promise<T> {
  const giveUpAt = Date.now() + waitMs;
  while (!(await take(path))) {
    if (await removeDead(path)) continue;
    if (Date.now() > giveUpAt) {
      throw new TunlError('STATE_DIR', {
        reason: `Another process has had ${path} for ${waitMs / 1000} s.`,
        next: 'Wait for it to end. If it does not run any more, remove this file.',
      });
    }
    await wait(TRY_EVERY_MS);
  }
  try {
    return await action();
  } finally {
    await rm(path, {force: true});
  }
}

async function take(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(`${process.pid}\n`);
    } catch (error) {
      await rm(path, {force: true});
      throw error;
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    const reason = `${path} cannot be written (${systemCode(error)}).`;
    throw new TunlError('STATE_DIR', {reason, cause: error});
  }
}

/**
 * A process that was killed leaves its lock. Returns true when it was removed. The file is moved away first, so that of two
 * processes only one removes it.
 */
async function removeDead(path: string): Promise<boolean> {
  const owner = await ownerOf(path);
  if (owner === undefined || isAlive(owner)) return false;
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return true;
  }
  // Another process may have removed the dead lock and taken a new one just before.
  if ((await ownerOf(aside)) !== owner) await rename(aside, path).catch(() => {});
  else await rm(aside, {force: true});
  return true;
}

/** Undefined while the file is being written, or when it is gone. */
async function ownerOf(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^\d{1,10}\n$/.test(text) ? Number(text) : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}
