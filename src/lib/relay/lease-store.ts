// Keeps the lease table in a file, so that names stay their owners' when the relay is restarted or dies.

import {readFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import type {Clock, Timer} from '../core/clock.js';
import {systemCode} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import {ensurePrivateDir, removeOldDrafts, writeFileAtomic} from '../core/state-dir.js';
import type {Lease, LeaseKey} from './registry.js';

/** Changes within this time become one write, ms. A crash right after a bind can lose a lease this young. */
const WRITE_AFTER_MS = 100;

type Row = readonly [LeaseKey, Lease];

export interface LeaseStoreOptions {
  path: string;
  clock: Clock;
  log: Logger;
}

export class LeaseStore {
  readonly #options: LeaseStoreOptions;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #sealed = false;

  constructor(options: LeaseStoreOptions) {
    this.#options = options;
  }

  /** The rows of the last process. A file that cannot be read is put down to nobody: a relay without it still serves. */
  async load(): Promise<Row[]> {
    const {path, log} = this.#options;
    await removeOldDrafts(path);
    try {
      return parseRows(await readFile(path, 'utf8'));
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') {
        log.warn('the lease table cannot be read; it begins empty', {
          path,
          reason: error instanceof Error ? error.message : '',
        });
      }
      return [];
    }
  }

  /** Writes soon what `rows` gives then. */
  schedule(rows: () => Row[]): void {
    if (this.#timer !== undefined || this.#sealed) return;
    this.#timer = this.#options.clock.after(WRITE_AFTER_MS, () => {
      this.#timer = undefined;
      this.#write(rows());
    });
  }

  /** The last write of this process: the next one may own the file from now on. */
  async seal(rows: Row[]): Promise<void> {
    if (this.#sealed) return await this.#writing;
    this.#sealed = true;
    this.#timer?.cancel();
    this.#write(rows);
    await this.#writing;
  }

  #write(rows: Row[]): void {
    const {path, log} = this.#options;
    this.#writing = this.#writing
      .then(async () => {
        await ensurePrivateDir(dirname(path));
        await writeFileAtomic(path, `${JSON.stringify({version: 1, leases: rows})}\n`);
      })
      .catch((error: unknown) => {
        log.error('the lease table cannot be written', {
          path,
          reason: error instanceof Error ? error.message : '',
        });
      });
  }
}

function parseRows(text: string): Row[] {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('leases' in value) || !Array.isArray(value.leases)) {
    throw new Error('not a lease table');
  }
  return value.leases.flatMap((row: unknown) => parseRow(row) ?? []);
}

function parseRow(row: unknown): [Row] | undefined {
  if (!Array.isArray(row)) return undefined;
  const [key, lease] = row as unknown[];
  if (typeof key !== 'string' || typeof lease !== 'object' || lease === null) return undefined;
  if (!/^(?:tls:[a-z0-9-]{1,63}|tcp:\d{1,5})$/.test(key)) return undefined;
  if (!('owner' in lease) || typeof lease.owner !== 'string') return undefined;
  if (!('epoch' in lease) || !Number.isSafeInteger(lease.epoch)) return undefined;
  const expiresAt = 'expiresAt' in lease && typeof lease.expiresAt === 'number' ? lease.expiresAt : undefined;
  const holder = 'holder' in lease && typeof lease.holder === 'string' ? {holder: lease.holder} : {};
  return [[key as LeaseKey, {owner: lease.owner, epoch: lease.epoch as number, expiresAt, ...holder}]];
}
