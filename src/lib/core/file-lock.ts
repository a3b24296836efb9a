// A lock between processes of one user: a file with the record of the process that has it. Containers or machines may share
// the folder.

import {open, readFile, rename, rm, stat, utimes} from 'node:fs/promises';
import {setTimeout as wait} from 'node:timers/promises';
import {systemCode, TunlError} from './errors.js';
import {randomUUID} from './node-crypto.js';
import {isProcessRecord, judgeRecord, recordThis} from './process-life.js';
import {factsOf} from './process-stat.js';

const WAIT_MS = 10_000;
const TRY_EVERY_MS = 25;
/** The holder touches its file this often, as a sign of life, ms. */
const SIGN_EVERY_MS = 10_000;
/**
 * A holder whose process is not visible from here keeps the lock while its file is younger, ms. The clocks of machines that
 * share a folder differ by less than this.
 */
const LOST_MS = 60_000;

/** Runs `action` while no other process has the lock. @throws TunlError STATE_DIR, or what `action` throws */
export async function withLock<T>(path: string, action: () => Promise<T>, waitMs = WAIT_MS): Promise<T> {
  const giveUpAt = Date.now() + waitMs;
  const holder = JSON.stringify(await recordThis(startOf));
  while (!(await take(path, holder))) {
    if (await removeDead(path)) continue;
    if (Date.now() > giveUpAt) {
      throw new TunlError('STATE_DIR', {
        reason: `Another process has had ${path} for ${waitMs / 1000} s.`,
        next: 'Wait for it to end. If it does not run any more, remove this file.',
      });
    }
    await wait(TRY_EVERY_MS);
  }
  const signs = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, SIGN_EVERY_MS);
  try {
    return await action();
  } finally {
    clearInterval(signs);
    await rm(path, {force: true});
  }
}

async function take(path: string, holder: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(holder);
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
  if (!(await isDead(path))) return false;
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return true;
  }
  // Another process may have removed the dead lock and taken a new one just before.
  if (await isDead(aside)) await rm(aside, {force: true});
  else await rename(aside, path).catch(() => {});
  return true;
}

/** A file without a record is being written, or its process was killed meanwhile. */
async function isDead(path: string): Promise<boolean> {
  let text: string;
  let touchedAt: number;
  try {
    text = await readFile(path, 'utf8');
    touchedAt = (await stat(path)).mtimeMs;
  } catch {
    return false;
  }
  const record = recordIn(text);
  const life = record === undefined ? 'unknown' : await judgeRecord(record, touchedAt, startOf);
  return life === 'ended' || (life === 'unknown' && Date.now() - touchedAt > LOST_MS);
}

function recordIn(text: string) {
  try {
    const value: unknown = JSON.parse(text);
    return isProcessRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Systems other than Linux say only whether a process with this pid exists: reading more would need a program. */
async function startOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return (await factsOf(pid))?.start ?? '';
  return exists(pid) ? 'some' : '';
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}
