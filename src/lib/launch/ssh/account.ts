// Finds reasons for which sshd silently refuses a login: a locked account, folders that others can write to.
import {constants} from 'node:fs';
import {access, readFile, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {TunlError} from '../../core/errors.js';

/** Whether the account's password field says locked, as sshd reads it on Linux. Only root can know. */
export async function isLocked(user: string, shadow = '/etc/shadow'): Promise<boolean> {
  const text = await readFile(shadow, 'utf8').catch(() => '');
  const line = text.split('\n').find((entry) => entry.startsWith(`${user}:`));
  return line?.split(':')[1]?.startsWith('!') ?? false;
}

/** PAM lets a locked account in by key, where sshd has a service of its own there. */
export async function hasPamService(path = '/etc/pam.d/sshd'): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

/**
 * sshd's StrictModes looks at every folder above the keys and takes any that others can write to for unsafe, so that a
 * login fails without a word. Looked at here first: `true` when it will be content, `false` when the only such folders are
 * sticky (/tmp), where nobody can replace what is not his; STATE_DIR for a folder in which somebody could.
 */
export async function strictModesHold(folder: string, uid: number): Promise<boolean> {
  let strict = true;
  for (let path = folder; ; path = dirname(path)) {
    const {mode, uid: owner} = await stat(path);
    const sticky = (mode & constants.S_IFMT) === constants.S_IFDIR && (mode & 0o1000) !== 0;
    const writable = (mode & 0o022) !== 0;
    if ((writable && !sticky) || (owner !== 0 && owner !== uid)) {
      throw new TunlError('STATE_DIR', {
        reason: `Others can change ${path}, so keys below it cannot be trusted.`,
        next: 'Set TUNL_STATE_DIR to a folder that only you can write to, or take the right to write from others.',
      });
    }
    if (writable) strict = false;
    if (dirname(path) === path) return strict;
  }
}
