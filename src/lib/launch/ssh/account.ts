// Finds reasons for which sshd silently refuses a login: a locked account, folders that others can write to.
import {constants} from 'node:fs';
import {access, readFile, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {TunlError} from '../../core/errors.js';

/** Whether the account's password field means locked, as sshd reads it on Linux. Only root can read it. */
export async function isLocked(user: string, shadow = '/etc/shadow'): Promise<boolean> {
  const text = await readFile(shadow, 'utf8').catch(() => '');
  const line = text.split('\n').find((entry) => entry.startsWith(`${user}:`));
  return line?.split(':')[1]?.startsWith('!') ?? false;
}

/** PAM allows a locked account to log in with a key, if sshd has a PAM service. */
export async function hasPamService(path = '/etc/pam.d/sshd'): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

/**
 * sshd's StrictModes checks every folder above the keys and treats those that others can write to as unsafe, so a
 * login fails silently. This check runs first: `true` when sshd will accept, `false` when the only such folders are
 * sticky (/tmp), where nobody can replace files of others; STATE_DIR for a folder in which somebody could.
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
        next: 'Set TUNL_STATE_DIR to a folder that only you can write to, or remove the write permission of others.',
      });
    }
    if (writable) strict = false;
    if (dirname(path) === path) return strict;
  }
}
