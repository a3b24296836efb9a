// The lease table in memory, kept in a file of the state folder.

import {join} from 'node:path';
import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import {checkState} from '../../core/state-trust.js';
import {LeaseFile} from './lease-file.js';
import type {Claimant, ClaimResult, LeaseKey, LeaseLimits, LeaseStore} from './lease-store.js';
import {MemoryLeases} from './memory-leases.js';

export interface FileLeasesOptions extends LeaseLimits {
  stateDir: string;
  /** Each domain has a separate table. */
  domain: string;
  clock: Clock;
  log: Logger;
  /** Wall clock, ms. */
  wallClock?: () => number;
}

export class FileLeases implements LeaseStore {
  readonly #stateDir: string;
  readonly #place: readonly string[];
  readonly #table: MemoryLeases;
  readonly #file: LeaseFile;
  #expected: readonly LeaseKey[] = [];

  constructor({stateDir, domain, clock, log, ...limits}: FileLeasesOptions) {
    this.#stateDir = stateDir;
    this.#place = ['relay', domain, 'leases.json'];
    this.#file = new LeaseFile({path: join(stateDir, ...this.#place), clock, log});
    this.#table = new MemoryLeases({...limits, onChange: (key) => this.#file.changed(key, this.#table)});
  }

  get expected(): readonly LeaseKey[] {
    return this.#expected;
  }

  /** @throws TunlError STATE_DIR */
  async start(): Promise<void> {
    await checkState(this.#stateDir, ...this.#place);
    const rows = await this.#file.load();
    this.#expected = rows.filter(([, lease]) => lease.expiresAt === undefined).map(([key]) => key);
    this.#table.begin(rows);
  }

  reload(settings: Parameters<MemoryLeases['reload']>[0]): void {
    this.#table.reload(settings);
  }

  claim(key: LeaseKey, owner: string, claimant?: Claimant): Promise<ClaimResult> {
    return this.#table.claim(key, owner, claimant);
  }

  release(key: LeaseKey, epoch: number): Promise<void> {
    return this.#table.release(key, epoch);
  }

  ownerOf(key: LeaseKey): Promise<string | undefined> {
    return this.#table.ownerOf(key);
  }

  freePorts(ports: readonly number[]): Promise<number[]> {
    return this.#table.freePorts(ports);
  }

  /** The next process expects the agents of these leases back, and owns the file from here on. */
  async drain(): Promise<void> {
    await this.#file.seal(this.#table);
  }
}
