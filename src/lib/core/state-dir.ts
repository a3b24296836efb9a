// The folder for data that outlives a process. Its files are private, and each is written completely or not at all.

import fs from 'node:fs';
import {link, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, isAbsolute, join, resolve} from 'node:path';
import {promisify} from 'node:util';
import {systemCode, TunlError} from './errors.js';
import {expandHome, home} from './home.js';
import {makeFolders} from './make-folders.js';
import {randomUUID} from './node-crypto.js';
import {checkState, checkStateFile} from './state-trust.js';
import {readTextFile} from './text-file.js';

/**
 * TUNL_STATE_DIR, else the platform's convention (XDG Base Directory on Unix). Always absolute, because its paths are
 * printed.
 *
 * @throws TunlError STATE_DIR when nothing says where this user's files belong.
 */
export function stateDir(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (env.TUNL_STATE_DIR) return resolve(expandHome(env.TUNL_STATE_DIR, env));
  if (platform === 'darwin') return join(home(env), 'Library', 'Application Support', 'tunl');
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(home(env), 'AppData', 'Local'), 'tunl');
  // The XDG specification: a relative path is invalid and must be ignored.
  const xdg = env.XDG_STATE_HOME;
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(home(env), '.local', 'state'), 'tunl');
}

/**
 * Makes the folder and those above it, with access only for their owner. Existing folders keep their mode: TUNL_STATE_DIR may
 * be a folder for others as well, and secrets have stricter modes.
 *
 * @throws TunlError STATE_DIR
 */
export async function ensurePrivateDir(path: string): Promise<void> {
  try {
    await makeFolders(path, 0o700);
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} cannot be made (${systemCode(error)}).`,
      cause: error,
    });
  }
}

/**
 * The state folder, or a folder below it. It is created if it is missing, and its owner and mode are checked.
 *
 * @throws TunlError STATE_DIR
 */
export async function openStateDir(stateDir: string, ...names: readonly string[]): Promise<string> {
  const path = join(stateDir, ...names);
  await ensurePrivateDir(path);
  await checkState(stateDir, ...names);
  return path;
}

/**
 * Writes a file completely: readers see the old file or the new one, also after a crash. Data in pieces is pulled: the
 * next piece is requested when the last one is written.
 *
 * @throws TunlError STATE_DIR
 */
export async function writeFileAtomic(
  path: string,
  data: string | Buffer | Iterable<string>,
  mode = 0o600,
): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeAndSync(draft, data, mode);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, {force: true});
    throw new TunlError('STATE_DIR', {
      reason: `${path} cannot be written (${systemCode(error)}).`,
      cause: error,
    });
  }
}

const openFile = promisify(fs.open);
const writeMore = promisify(fs.writeFile);
const sync = promisify(fs.fsync);
const close = promisify(fs.close);

/** By descriptor: the handles of `node:fs/promises` are in a module that a start does not need. */
async function writeAndSync(
  path: string,
  data: string | Buffer | Iterable<string>,
  mode: number,
): Promise<void> {
  const file = await openFile(path, 'wx', mode);
  try {
    const pieces = typeof data === 'string' || Buffer.isBuffer(data) ? [data] : data;
    for (const piece of pieces) await writeMore(file, piece);
    await sync(file);
  } finally {
    await close(file);
  }
}

/**
 * Makes a complete file, or keeps the existing one: of two processes that start at once, one makes it.
 *
 * @throws TunlError STATE_DIR
 */
export async function createFileAtomic(path: string, data: string, mode = 0o600): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, data, {mode, flag: 'wx'});
    await linkNew(draft, path);
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} cannot be written (${systemCode(error)}).`,
      cause: error,
    });
  } finally {
    await rm(draft, {force: true});
  }
}

/** The answers of file systems without hard links: exFAT, some shared folders and containers. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** Links a finished draft to its path, unless there is a file already. @param linking for tests */
export async function linkNew(draft: string, path: string, linking = link): Promise<void> {
  try {
    await linking(draft, path);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') return;
    if (!NO_LINKS.has(code)) throw error;
    // Two processes that start at the same moment may both come here; then the file of the second one stays.
    const exists = await stat(path).then(
      () => true,
      () => false,
    );
    if (!exists) await rename(draft, path);
  }
}

/**
 * Reads a file of the state folder after a check of its owner and mode; undefined if it does not exist. @throws TunlError
 * STATE_DIR
 */
export async function readStateFile(path: string): Promise<string | undefined> {
  await checkStateFile(path);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new TunlError('STATE_DIR', {
      reason: `${path} cannot be read (${systemCode(error)}).`,
      cause: error,
    });
  }
}

/** A younger temporary file may belong to a process that is about to rename it. */
const OLD_DRAFT_MS = 60_000;

/** Removes temporary files of `path` whose writers were killed before the rename. Never rejects. */
export async function removeOldDrafts(path: string): Promise<void> {
  const isDraft = (name: string) =>
    name.startsWith(`${basename(path)}.`) && /\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names.filter(isDraft)) {
    const draft = join(dirname(path), name);
    const {mtimeMs} = await stat(draft).catch(() => ({mtimeMs: Number.POSITIVE_INFINITY}));
    if (Date.now() - mtimeMs > OLD_DRAFT_MS) await rm(draft, {force: true}).catch(() => {});
  }
}

export type SecretKind = 'relay token' | 'token' | 'password' | 'link';

/** The first line of a file, trimmed. @throws TunlError FILE_UNREADABLE, TOKEN_FILE_EMPTY, PASSWORD_FILE_EMPTY */
export async function readSecretFile(path: string, kind: SecretKind = 'relay token'): Promise<string> {
  const text = await readTextFile(path);
  const secret = text.split('\n', 1)[0]?.trim() ?? '';
  if (secret !== '') return secret;
  if (kind === 'link')
    throw new TunlError('LINK_INVALID', {reason: `${path} holds no link on its first line.`});
  const word = kind === 'password' ? 'password' : 'token';
  throw new TunlError(kind === 'password' ? 'PASSWORD_FILE_EMPTY' : 'TOKEN_FILE_EMPTY', {
    reason: `${path} holds no ${word} on its first line.`,
    // Only a relay requires a length.
    ...(kind === 'token' && {next: 'Put the token on its first line.'}),
  });
}
