// Files of the sandbox, inside it: links lead only to where a process of the sandbox could go as well.

import {constants} from 'node:fs';
import {type FileHandle, lstat, open, readdir, realpath, rename, rm} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import type {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {systemCode, TunlError} from '../../core/errors.js';
import {makeFolders} from '../../core/make-folders.js';
import type {FileEntry} from '../backend.js';
import {MAX_ENTRIES} from './file-wire.js';
import type {FileService} from './serve-file.js';

/** A pipe without a writer would otherwise hold a thread for ever. */
const {O_NONBLOCK, O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_TRUNC} = constants;
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o777;
const AT_ONCE = 64;

export class RealFiles implements Required<FileService> {
  #count = 0;

  read(path: string): Promise<Readable> {
    return attempt(path, async () => {
      const file = await open(path, O_RDONLY | O_NONBLOCK);
      await checkRegular(file, path);
      return file.createReadStream();
    });
  }

  write(path: string, content: Readable, {mode}: {mode?: number} = {}): Promise<void> {
    this.#count += 1;
    const part = `${process.pid}-${this.#count}.part`;
    return attempt(path, () => write(resolve(path), content, {mode, part}));
  }

  list(path: string): Promise<FileEntry[]> {
    return attempt(path, async () => {
      const names = await readdir(path);
      if (names.length > MAX_ENTRIES)
        throw new TunlError('SANDBOX_FILE', {reason: `${path} has more than ${MAX_ENTRIES} entries.`});
      const entries: FileEntry[] = [];
      // In portions, because each waits for a thread with its promise in memory.
      for (let at = 0; at < names.length; at += AT_ONCE) {
        const some = names.slice(at, at + AT_ONCE).map((name) => entryOf(join(path, name)).catch(unlessGone));
        entries.push(...(await Promise.all(some)).filter((entry) => entry !== undefined));
      }
      return entries;
    });
  }

  stat(path: string): Promise<FileEntry> {
    return attempt(path, () => entryOf(path));
  }

  makeFolder(path: string, {mode}: {mode?: number} = {}): Promise<void> {
    return attempt(path, () => makeFolders(resolve(path), mode ?? FOLDER_MODE));
  }

  remove(path: string, {recursive = false}: {recursive?: boolean} = {}): Promise<void> {
    return attempt(path, async () => {
      const isFolder = (await lstat(path)).isDirectory();
      if (isFolder && !recursive && (await readdir(path)).length > 0)
        throw Object.assign(new Error('ENOTEMPTY'), {code: 'ENOTEMPTY'});
      await rm(path, {recursive: isFolder});
    });
  }
}

interface WriteOptions {
  mode: number | undefined;
  /** The last part of the name of the incomplete file. */
  part: string;
}

async function write(path: string, content: Readable, {mode, part}: WriteOptions): Promise<void> {
  await makeFolders(dirname(path), FOLDER_MODE);
  // A link stays a link: the file that it leads to is replaced.
  const target = await realpath(path).catch(() => path);
  const before = await lstat(target).catch(() => undefined);
  if (before !== undefined && !before.isFile()) throw notRegular(path, before.isDirectory());
  const bits = mode ?? (before === undefined ? FILE_MODE : before.mode & 0o7777);
  const aside = join(dirname(target), `.${basename(target).slice(0, 100)}.${part}`);
  const file = await open(aside, O_WRONLY | O_CREAT | O_EXCL, bits).catch((error: unknown) => {
    // The folder may be read-only although the file is not.
    if (before === undefined || !['EACCES', 'EPERM', 'EROFS'].includes(systemCode(error))) throw error;
    return undefined;
  });
  if (file === undefined) {
    const direct = await open(target, O_WRONLY | O_TRUNC | O_NONBLOCK);
    await pipeline(content, direct.createWriteStream());
    return;
  }
  try {
    // The umask does not apply to a mode that was asked for, or that the file had.
    if (mode !== undefined || before !== undefined) await file.chmod(bits);
    await pipeline(content, file.createWriteStream());
    await rename(aside, target);
  } catch (error) {
    await rm(aside, {force: true});
    throw error;
  }
}

async function entryOf(path: string): Promise<FileEntry> {
  const stats = await lstat(path);
  const kind = stats.isFile()
    ? 'file'
    : stats.isDirectory()
      ? 'folder'
      : stats.isSymbolicLink()
        ? 'link'
        : 'other';
  return {
    name: basename(resolve(path)),
    kind,
    bytes: stats.size,
    mode: stats.mode & 0o7777,
    modifiedAt: Math.round(stats.mtimeMs),
  };
}

function unlessGone(error: unknown): undefined {
  if (systemCode(error) !== 'ENOENT') throw error;
}

async function checkRegular(file: FileHandle, path: string): Promise<void> {
  const stats = await file.stat();
  if (stats.isFile()) return;
  await file.close();
  throw notRegular(path, stats.isDirectory());
}

function notRegular(path: string, isFolder: boolean): Error {
  const code = isFolder ? 'EISDIR' : 'EINVAL';
  return Object.assign(new Error(`${path} is not a regular file`), {code});
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  ENOTEMPTY: 'the folder is not empty',
  EINVAL: 'it is not a regular file',
  ENOSPC: 'the disk of the sandbox is full',
  EROFS: 'its file system is read-only',
  ELOOP: 'too many links',
};

/** @throws TunlError SANDBOX_FILE, with the error of the system as its cause. */
async function attempt<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof TunlError) throw error;
    const code = systemCode(error);
    throw new TunlError('SANDBOX_FILE', {
      reason: `${path} cannot be used: ${REASONS[code] ?? 'it failed'} (${code || 'unknown reason'}).`,
      cause: error,
    });
  }
}
