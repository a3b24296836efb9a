// The file with the list of what is blocked, as a part of the relay: each process reads it at its start.

import {join} from 'node:path';
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

  /** @throws TunlError STATE_DIR */
  async write(entries: readonly BlockedEntry[]): Promise<void> {
    await writeBlocked(await this.#path(), entries);
    this.#blocked.set(entries);
  }

  async #path(): Promise<string> {
    const {stateDir, domain} = this.#where;
    return join(await openStateDir(stateDir, 'relay', domain), 'blocked.json');
  }
}
