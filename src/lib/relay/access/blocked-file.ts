// The file with the list of what is blocked, as a part of the relay: each process reads it at its start.

import {join} from 'node:path';
import {withLock} from '../../core/file-lock.js';
import {openStateDir} from '../../core/state-dir.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import {type Blocked, type BlockedEntry, readBlocked, writeBlocked} from './blocked.js';

export class BlockedFile implements Part {
  readonly #blocked: Blocked;
  readonly #where: Pick<RelaySettings, 'stateDir' | 'domain'>;

  constructor(blocked: Blocked, where: Pick<RelaySettings, 'stateDir' | 'domain'>) {
    this.#blocked = blocked;
    this.#where = where;
  }

  /** @throws TunlError STATE_DIR */
  async start(): Promise<void> {
    this.#blocked.set(await this.read());
  }

  get count(): number {
    return this.#blocked.entries.length;
  }

  /** The entries in the file now. Another relay with this state folder may have changed it. @throws TunlError STATE_DIR */
  async read(): Promise<BlockedEntry[]> {
    return await readBlocked(await this.#path());
  }

  /**
   * Reads, changes and writes the entries, while no other change does: of two operators at the same time, each must get what
   * the answer says. Returns the new entries.
   *
   * @throws TunlError STATE_DIR, or that of `change`. The file is as before then.
   */
  async change(
    change: (entries: readonly BlockedEntry[]) => readonly BlockedEntry[],
  ): Promise<readonly BlockedEntry[]> {
    const path = await this.#path();
    return await withLock(`${path}.lock`, async () => {
      const entries = change(await readBlocked(path));
      await writeBlocked(path, entries);
      this.#blocked.set(entries);
      return entries;
    });
  }

  async #path(): Promise<string> {
    const {stateDir, domain} = this.#where;
    return join(await openStateDir(stateDir, 'relay', domain), 'blocked.json');
  }
}
