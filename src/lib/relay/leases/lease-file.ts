// The file of a lease table, so that owners keep their names when the relay restarts or crashes.
//
// The first line is the whole table as JSON; each later line is one changed row. From time to time the whole file is written
// again, piece by piece, so that neither a change nor a large table blocks the relay.

import {constants, open, readFile, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import type {Clock, Timer} from '../../core/clock.js';
import {systemCode} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import {ensurePrivateDir, removeOldDrafts, writeFileAtomic} from '../../core/state-dir.js';
import type {Lease, LeaseKey, LeaseRow} from './lease-store.js';

/** Changes within this time become one write, ms. A crash can lose leases that are younger. */
const WRITE_AFTER_MS = 100;
/** Rows that are encoded in one turn: about a third of a millisecond. */
const PIECE_ROWS = 250;
/** The least number of changed lines before the table is written again. */
const MIN_LINES = 1_000;

/** A new file appears complete or not at all. */
const APPEND = constants.O_WRONLY | constants.O_APPEND;

/** The leases as they are now. */
export interface LeaseTable {
  readonly size: number;
  lease(key: LeaseKey): Lease | undefined;
  rows(): LeaseRow[];
}

export interface LeaseFileOptions {
  path: string;
  clock: Clock;
  log: Logger;
}

export class LeaseFile {
  readonly #options: LeaseFileOptions;
  readonly #changed = new Set<LeaseKey>();
  /** Keys that have changed since the current rewrite took its rows. */
  #changedSince: Set<LeaseKey> | undefined;
  #timer: Timer | undefined;
  /** The chain of appends, one after the other. */
  #appending: Promise<void> = Promise.resolve();
  #rewriting: Promise<void> | undefined;
  #sealing: Promise<void> | undefined;
  /** The number of changed lines that this process has appended. */
  #lines = 0;
  /** The file as this process left it; undefined before its first rewrite, or after a failure. */
  #left: {ino: number; size: number} | undefined;

  constructor(options: LeaseFileOptions) {
    this.#options = options;
  }

  /** Reads the rows of the last process. An unreadable file is ignored, because a relay can serve without it. */
  async load(): Promise<LeaseRow[]> {
    const {path} = this.#options;
    await removeOldDrafts(path);
    try {
      const [first = '', ...changes] = (await readFile(path, 'utf8')).split('\n');
      const rows = new Map(this.#parseTable(first));
      for (const line of changes) applyLine(rows, line);
      return [...rows];
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') this.#unreadable(error);
      return [];
    }
  }

  /** Writes the row of this key soon, with its value at that time. */
  changed(key: LeaseKey, table: LeaseTable): void {
    if (this.#sealing !== undefined) return;
    this.#changed.add(key);
    this.#changedSince?.add(key);
    this.#timer ??= this.#options.clock.after(WRITE_AFTER_MS, () => {
      this.#timer = undefined;
      this.#appending = this.#appending.then(() => this.#append(table));
    });
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#appending;
    await this.#rewriting;
    await this.#appending;
  }

  /** Writes the whole table for the last time: the next process may own the file after that. */
  seal(table: LeaseTable): Promise<void> {
    this.#sealing ??= this.#seal(table);
    return this.#sealing;
  }

  async #seal(table: LeaseTable): Promise<void> {
    this.#timer?.cancel();
    await this.idle();
    await this.#writeWhole(table);
  }

  async #append(table: LeaseTable): Promise<void> {
    const {path} = this.#options;
    const keys = [...this.#changed];
    this.#changed.clear();
    try {
      const file = await open(path, APPEND);
      try {
        const {ino, size} = await file.stat();
        // Another process has written the whole table, without the rows that this one has added.
        if (this.#left !== undefined && (this.#left.ino !== ino || this.#left.size > size))
          this.#left = undefined;
        await file.writeFile(linesOf(keys, table));
        await file.datasync();
        // A rewrite may have replaced the file meanwhile.
        if (this.#left?.ino === ino) this.#left = {ino, size: (await file.stat()).size};
      } finally {
        await file.close();
      }
      this.#lines += keys.length;
    } catch (error) {
      this.#left = undefined;
      // There is no table yet, or somebody has removed it.
      if (systemCode(error) !== 'ENOENT') this.#failed(error);
    }
    if (this.#left === undefined || this.#lines > Math.max(MIN_LINES, 2 * table.size)) this.#rewrite(table);
  }

  /** Writes the table again. Changes still go to the old file too, so that a crash meanwhile loses none. */
  #rewrite(table: LeaseTable): void {
    if (this.#sealing !== undefined) return;
    this.#rewriting ??= (async () => {
      const since = new Set<LeaseKey>();
      this.#changedSince = since;
      await this.#writeWhole(table);
      this.#changedSince = undefined;
      for (const key of since) this.#changed.add(key);
      this.#rewriting = undefined;
      if (since.size > 0 && this.#sealing === undefined)
        this.#appending = this.#appending.then(() => this.#append(table));
    })();
  }

  async #writeWhole(table: LeaseTable): Promise<void> {
    const {path} = this.#options;
    try {
      await ensurePrivateDir(dirname(path));
      await writeFileAtomic(path, wholeOf(table.rows()));
      const {ino, size} = await stat(path);
      this.#left = {ino, size};
      this.#lines = 0;
    } catch (error) {
      this.#failed(error);
    }
  }

  #parseTable(line: string): LeaseRow[] {
    try {
      return parseTable(line);
    } catch (error) {
      this.#unreadable(error);
      return [];
    }
  }

  #unreadable(error: unknown): void {
    const {path, log} = this.#options;
    log.warn('the lease table cannot be read; the relay starts with an empty one', {
      path,
      reason: reasonOf(error),
    });
  }

  #failed(error: unknown): void {
    const {path, log} = this.#options;
    log.error('the lease table cannot be written', {path, reason: reasonOf(error)});
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : '');

/** Each line begins with a line end, so half a line of a killed process damages only itself. */
function* linesOf(keys: readonly LeaseKey[], table: LeaseTable): Iterable<string> {
  for (const piece of piecesOf(keys)) {
    yield piece
      .map((key) => {
        const lease = table.lease(key);
        return `\n${JSON.stringify(lease === undefined ? [key] : [key, lease])}`;
      })
      .join('');
  }
}

function* wholeOf(rows: readonly LeaseRow[]): Iterable<string> {
  yield '{"version":1,"leases":[';
  let isFirst = true;
  for (const piece of piecesOf(rows)) {
    const text = JSON.stringify(piece).slice(1, -1);
    yield isFirst ? text : `,${text}`;
    isFirst = false;
  }
  yield ']}\n';
}

function* piecesOf<T>(all: readonly T[]): Iterable<T[]> {
  for (let at = 0; at < all.length; at += PIECE_ROWS) yield all.slice(at, at + PIECE_ROWS);
}

function parseTable(text: string): LeaseRow[] {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('leases' in value) || !Array.isArray(value.leases)) {
    throw new Error('not a lease table');
  }
  return value.leases.flatMap((row: unknown) => parseRow(row) ?? []);
}

/** A changed row, or only the key of a lease that is gone. An unreadable line is skipped: the last one may be incomplete. */
function applyLine(rows: Map<LeaseKey, Lease>, line: string): void {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return;
  }
  if (Array.isArray(value) && value.length === 1 && isKey(value[0])) rows.delete(value[0]);
  for (const [key, lease] of parseRow(value) ?? []) rows.set(key, lease);
}

function isKey(key: unknown): key is LeaseKey {
  return typeof key === 'string' && /^(?:tls:[a-z0-9-]{1,63}|tcp:\d{1,5})$/.test(key);
}

function parseRow(row: unknown): [LeaseRow] | undefined {
  if (!Array.isArray(row)) return undefined;
  const [key, lease] = row as unknown[];
  if (!isKey(key) || typeof lease !== 'object' || lease === null) return undefined;
  if (!('owner' in lease) || typeof lease.owner !== 'string') return undefined;
  if (!('epoch' in lease) || !Number.isSafeInteger(lease.epoch)) return undefined;
  const expiresAt = 'expiresAt' in lease && typeof lease.expiresAt === 'number' ? lease.expiresAt : undefined;
  const holder = 'holder' in lease && typeof lease.holder === 'string' ? {holder: lease.holder} : {};
  return [[key, {owner: lease.owner, epoch: lease.epoch as number, expiresAt, ...holder}]];
}
