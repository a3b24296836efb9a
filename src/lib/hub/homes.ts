// The users' files. A home belongs to an immutable user id and a template, and has its owner before a sandbox starts.

import {chown, lstat, mkdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';
import {openStateDir} from '../core/state-dir.js';

/** As root each user's sandboxes run as a uid of their own. Accounts and containers use lower numbers, or the ranges of subuid. */
const FIRST_UID = 0x7000_0000;

export class Homes {
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Undefined: sandboxes run as the user of the hub. */
  uidOf(user: {readonly number: number}): number | undefined {
    return process.getuid?.() === 0 ? FIRST_UID + user.number : undefined;
  }

  /** Makes the home if it is missing, and returns its path. @throws TunlError HUB_HOME */
  async prepare(user: {readonly id: string; readonly number: number}, template: string): Promise<string> {
    try {
      const all = await openStateDir(this.#stateDir, 'hub', 'homes');
      const own = join(all, user.id);
      await mkdir(own, {recursive: true, mode: 0o700});
      const home = join(own, template);
      await mkdir(home, {recursive: true, mode: 0o700});
      const uid = this.uidOf(user);
      // Also for a home whose maker was killed before this.
      if (uid !== undefined && (await lstat(home)).uid !== uid) await chown(home, uid, uid);
      return home;
    } catch (error) {
      if (error instanceof TunlError) throw error;
      throw new TunlError('HUB_HOME', {
        reason: `The home for ${template} cannot be made (${systemCode(error)}).`,
        cause: error,
      });
    }
  }

  /** Removes all files of a user. No session of the user may run. @throws TunlError HUB_HOME */
  async forget(userId: string): Promise<void> {
    try {
      await rm(join(this.#stateDir, 'hub', 'homes', userId), {recursive: true, force: true, maxRetries: 5});
    } catch (error) {
      throw new TunlError('HUB_HOME', {
        reason: `The files of ${userId} cannot be removed (${systemCode(error)}).`,
        cause: error,
      });
    }
  }
}
