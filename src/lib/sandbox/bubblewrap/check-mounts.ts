// Which folders and files of the host may be mounted into a sandbox, and where.

import {realpathSync, type Stats, statSync} from 'node:fs';
import {homedir} from 'node:os';
import {isAbsolute, join, normalize} from 'node:path';
import {compileCache} from '../../core/compile-cache.js';
import {systemCode, TunlError} from '../../core/errors.js';
import {stateDir} from '../../core/state-dir.js';
import type {SandboxMount} from '../spec.js';

export interface CheckedMount extends SandboxMount {
  /** Without links. */
  readonly source: string;
  readonly isFolder: boolean;
  /** Device and inode: the mount must lead to this file. */
  readonly identity: string;
  readonly owner: number;
}

/** The kernel's own trees, and sockets of services, with which a program becomes root or another user. */
const NEVER = ['/proc', '/sys', '/dev', '/run', '/var/run', '/boot'];

/** The places of tunl's own files inside. */
const TAKEN = ['/proc', '/sys', '/dev', '/opt/tunl', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** @param privateFolders never visible inside, nor what contains them. @throws TunlError OPTION_INVALID, FILE_UNREADABLE */
export function checkMounts(
  mounts: readonly SandboxMount[],
  privateFolders: readonly string[] = ownFolders(),
): CheckedMount[] {
  return mounts.map((mount) => checkMount(mount, privateFolders));
}

function checkMount(
  {source, target, readOnly}: SandboxMount,
  privateFolders: readonly string[],
): CheckedMount {
  if (!isAbsolute(source)) throw refused(source, 'its path at the host is not absolute');
  checkTarget(source, target);
  let real: string;
  let found: Stats;
  try {
    real = realpathSync(source);
    found = statSync(real);
  } catch (error) {
    throw new TunlError('FILE_UNREADABLE', {
      reason: `${source} cannot be mounted into the sandbox (${systemCode(error)}).`,
      cause: error,
    });
  }
  if (!found.isDirectory() && !found.isFile()) throw refused(source, 'it is no folder and no file');
  for (const path of NEVER) {
    if (isWithin(real, path) || isWithin(path, real))
      throw refused(source, `it contains or is a part of ${path}, where sockets and devices of the host are`);
  }
  for (const path of privateFolders) {
    // Persistent homes are made for sandboxes.
    if (real.startsWith(join(path, 'hub', 'homes', '/'))) continue;
    if (isWithin(real, path) || isWithin(path, real))
      throw refused(source, `it contains or is a part of ${path}, where secrets of this user are`);
  }
  // It may not exist yet, and is never behind a link.
  const code = compileCache();
  if (!readOnly && code !== undefined && (isWithin(real, code) || isWithin(code, real)))
    throw refused(source, `it contains or is a part of ${code}, where tunl keeps code that it runs`);
  return {
    source: real,
    target: normalize(target),
    readOnly,
    isFolder: found.isDirectory(),
    identity: `${found.dev}:${found.ino}`,
    owner: found.uid,
  };
}

function checkTarget(source: string, target: string): void {
  if (!isAbsolute(target)) throw refused(source, 'its path inside is not absolute');
  const path = normalize(target);
  if (path === '/') throw refused(source, 'it cannot be the root folder inside');
  if (path !== target.replace(/\/$/, ''))
    throw refused(source, 'its path inside has `.`, `..` or empty parts');
  for (const taken of TAKEN) {
    if (isWithin(path, taken) || isWithin(taken, path))
      throw refused(source, `${taken} inside belongs to the sandbox`);
  }
}

/** The state of tunl, and keys that open other machines. */
function ownFolders(): string[] {
  const state = tryState();
  const places = [
    ...(state === undefined ? [] : [state]),
    join(homedir(), '.ssh'),
    join(homedir(), '.gnupg'),
  ];
  return places.flatMap((path) => {
    try {
      return [realpathSync(path)];
    } catch {
      return [];
    }
  });
}

function tryState(): string | undefined {
  try {
    return stateDir();
  } catch {
    return undefined;
  }
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || folder === '/' || path.startsWith(`${folder}/`);

const refused = (source: string, why: string): TunlError =>
  new TunlError('OPTION_INVALID', {
    reason: `${source} cannot be mounted into the sandbox: ${why}.`,
    next: 'Choose another folder.',
  });
