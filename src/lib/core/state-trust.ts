// Checks that only this user, or root, can have written to the state folder. With a planted entry `tunl stop` would end
// any process; visitors would trust a planted CA.

import {lstat, readFile, realpath} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {systemCode, TunlError} from './errors.js';
import {shellWord} from './shell-word.js';

interface Owned {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

const FOR_GROUP = 0o020;
const FOR_OTHERS = 0o002;
const STICKY = 0o1000;

/**
 * Checks the state folder with those above it, and below it each of `names`: a path of folders that may end with a file. A
 * path that does not exist passes.
 *
 * @throws TunlError STATE_DIR with the path, the reason and the command that helps.
 */
export async function checkState(stateDir: string, ...names: readonly string[]): Promise<void> {
  const me = thisUser();
  if (me === undefined) return;
  const real = await lookUp(stateDir, (path) => realpath(path));
  if (real === undefined) return;
  await checkAbove(real, me);
  await checkOne(real, me);
  let path = real;
  for (const name of names) {
    path = join(path, name);
    if (!(await checkOne(path, me))) return;
  }
}

/** Checks one file in a folder that was checked. @throws TunlError STATE_DIR */
export async function checkStateFile(path: string): Promise<void> {
  const me = thisUser();
  if (me !== undefined) await checkOne(path, me);
}

/** Checks a Unix socket in a folder that was checked; false if there is none. @throws TunlError STATE_DIR */
export async function checkStateSocket(path: string): Promise<boolean> {
  const me = thisUser();
  return me !== undefined && (await checkOne(path, me, 'socket'));
}

/** Undefined on systems whose files have no numeric owner. */
function thisUser(): User | undefined {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  return uid === undefined || gid === undefined ? undefined : {uid, gid};
}

/** Returns false when the path does not exist. */
async function checkOne(path: string, me: User, kind: 'file' | 'socket' = 'file'): Promise<boolean> {
  const found = await lookUp(path, (each) => lstat(each));
  if (found === undefined) return false;
  // exFAT through FUSE keeps an ordinary file in place of a socket. Nobody can connect to it, so it is no danger.
  if (kind === 'socket' && found.isFile()) return false;
  const isRightKind = kind === 'socket' ? found.isSocket() : found.isFile() || found.isDirectory();
  if (!isRightKind) {
    const not = kind === 'socket' ? 'not a socket' : 'neither a file nor a folder';
    const what = found.isSymbolicLink() ? 'a symbolic link' : not;
    throw distrust(`${path} is ${what}, which is not believed.`, 'Remove it, or put the file itself there.');
  }
  if (!isMineOrRoots(found, me)) {
    throw distrust(
      `${path} belongs to user ${found.uid}, not to user ${me.uid} or root.`,
      `If everything in it is yours: chown -R ${me.uid} ${shellWord(path)}; else set TUNL_STATE_DIR to a folder of your own.`,
    );
  }
  if ((found.mode & (FOR_GROUP | FOR_OTHERS)) !== 0) {
    throw distrust(
      `${path} can be changed by other users (mode ${modeOf(found)}).`,
      `Remove that permission: chmod go-w ${shellWord(path)}; or set TUNL_STATE_DIR to a folder of your own.`,
    );
  }
  return true;
}

/** Checks the folders above as well: anybody who can write to a folder can replace the folders in it. */
async function checkAbove(stateDir: string, me: User): Promise<void> {
  for (let path = dirname(stateDir); ; path = dirname(path)) {
    const found = await lookUp(path, (each) => lstat(each));
    if (found === undefined) return;
    if (!isMineOrRoots(found, me) && !(await isUnmapped(found.uid))) {
      throw distrust(
        `${path}, above the state folder, belongs to user ${found.uid}.`,
        'Set TUNL_STATE_DIR to a folder that no other user can replace, such as one that `mktemp -d` makes.',
      );
    }
    if (isOpenToOthers(found, me)) {
      throw distrust(
        `${path}, above the state folder, can be changed by other users (mode ${modeOf(found)}).`,
        `Remove that permission (chmod go-w ${shellWord(path)}), or set TUNL_STATE_DIR to another folder.`,
      );
    }
    if (dirname(path) === path) return;
  }
}

function isMineOrRoots({uid}: Owned, me: User): boolean {
  return uid === me.uid || uid === 0;
}

/**
 * In a sticky folder (/tmp) nobody can replace the files of another user. On systems where each user has a private group, the
 * group has the user's number, and folders are writable for it by default. The same holds for root.
 */
function isOpenToOthers({mode, gid}: Owned, me: User): boolean {
  if ((mode & STICKY) !== 0) return false;
  if ((mode & FOR_OTHERS) !== 0) return true;
  const isPrivate = gid === 0 || (gid === me.gid && gid === me.uid);
  return (mode & FOR_GROUP) !== 0 && !isPrivate;
}

/** A user namespace (rootless container, sandbox) shows all users without a number in it as one user; root may be among them. */
async function isUnmapped(uid: number): Promise<boolean> {
  const [overflow, map] = await Promise.all(
    ['/proc/sys/kernel/overflowuid', '/proc/self/uid_map'].map((path) =>
      readFile(path, 'utf8').catch(() => ''),
    ),
  );
  const mapped = (map ?? '')
    .split('\n')
    .reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0);
  return uid === Number(overflow || Number.NaN) && mapped > 0 && mapped < 2 ** 32 - 1;
}

async function lookUp<T>(path: string, look: (path: string) => Promise<T>): Promise<T | undefined> {
  try {
    return await look(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new TunlError('STATE_DIR', {reason: `${path} cannot be checked (${code}).`, cause: error});
  }
}

const modeOf = ({mode}: Owned) => (mode & 0o7777).toString(8).padStart(4, '0');

const distrust = (reason: string, next: string) => new TunlError('STATE_DIR', {reason, next});
