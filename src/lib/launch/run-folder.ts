// A folder for one run of one program: its configuration, its sockets and its other files. It is removed afterwards.
import {randomBytes} from 'node:crypto';
import {mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';
import {isProcessRecord} from '../core/process-life.js';
import {factsOf} from '../core/process-stat.js';
import {openStateDir} from '../core/state-dir.js';
import {keepFresh, lifeOf, thisProcess} from './process-record.js';

/** A folder without a record is kept for this long, because its process may just have started, ms. */
const UNRECORDED_MS = 3_600_000;

const recordIn = (folder: string) => join(folder, '.process.json');

/** `<state folder>/run/<pid>-<random>`, mode 0700. Folders of processes that are gone are removed meanwhile. */
export async function makeRunFolder(stateDir: string): Promise<string> {
  const parent = await openStateDir(stateDir, 'run');
  const folder = join(parent, `${process.pid}-${randomBytes(6).toString('hex')}`);
  try {
    await removeStale(parent);
    await mkdir(folder, {mode: 0o700});
    await writeFile(recordIn(folder), JSON.stringify(await thisProcess()), {mode: 0o600});
    keepFresh(recordIn(folder));
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
    const folder = join(parent, name);
    if (pid > 0 && (await isStale(folder, pid))) await removeRunFolder(folder);
  }
}

async function isStale(folder: string, pid: number): Promise<boolean> {
  const path = recordIn(folder);
  try {
    const record: unknown = JSON.parse(await readFile(path, 'utf8'));
    const {mtimeMs} = await stat(path);
    return isProcessRecord(record) && (await lifeOf(record, mtimeMs)) === 'ended';
  } catch (error) {
    const code = systemCode(error);
    // Such as EMFILE: there may be a record.
    if (code !== '' && code !== 'ENOENT') return false;
    // The folder has no record: its process has just made it, or died before it wrote the record.
    const {mtimeMs} = await stat(folder).catch(() => ({mtimeMs: Date.now()}));
    return Date.now() - mtimeMs > UNRECORDED_MS && (await factsOf(pid).catch(() => 'unknown')) === undefined;
  }
}
