// A folder for one run of one program: its configuration, sockets and whatever it leaves lying about. Gone afterwards.
import {randomBytes} from 'node:crypto';
import {mkdir, readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';

/** `<state folder>/run/<pid>-<random>`, mode 0700. Folders of processes that are gone are removed on the way. */
export async function makeRunFolder(stateDir: string): Promise<string> {
  const parent = join(stateDir, 'run');
  const folder = join(parent, `${process.pid}-${randomBytes(6).toString('hex')}`);
  try {
    await mkdir(parent, {recursive: true, mode: 0o700});
    await removeStale(parent);
    await mkdir(folder, {mode: 0o700});
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${parent} cannot be used (${systemCode(error) || 'unknown error'}).`,
      cause: error,
    });
  }
  return folder;
}

export async function removeRunFolder(folder: string): Promise<void> {
  // A dying program may still be writing into it.
  await rm(folder, {recursive: true, force: true, maxRetries: 5, retryDelay: 50}).catch(() => {});
}

async function removeStale(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = Number(/^(\d+)-/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) await removeRunFolder(join(parent, name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}
