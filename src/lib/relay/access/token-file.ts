// The file of tokens in the state folder. Commands change it while relays run: one writer at a time, and readers see the old
// file or the new one. A file that cannot be read is never replaced.

import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError, toTunlError} from '../../core/errors.js';
import {withLock} from '../../core/file-lock.js';
import {openStateDir, removeOldDrafts, writeFileAtomic} from '../../core/state-dir.js';
import {checkState} from '../../core/state-trust.js';
import {parseRecords, type TokenRecord, textOf} from './token-record.js';
import {keepUseTimes} from './use-times.js';

const FOLDER = 'access';
const FILE = 'tokens.json';
/** A longer file is not from tunl. */
const MOST_BYTES = 16 * 1024 * 1024;

export class TokenFile {
  readonly path: string;
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.path = join(stateDir, FOLDER, FILE);
  }

  /** Undefined when there is none. @throws TunlError TOKENS_UNREADABLE, STATE_DIR */
  async read(): Promise<TokenRecord[] | undefined> {
    // Anybody who could write the file could make tokens.
    await checkState(this.#stateDir, FOLDER, FILE);
    try {
      const {size} = await stat(this.path);
      if (size > MOST_BYTES) throw new Error('it is too large');
      return parseRecords(await readFile(this.path, 'utf8'));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      if (systemCode(error) !== '') {
        const reason = `${this.path} cannot be read (${systemCode(error)}).`;
        throw new TunlError('STATE_DIR', {reason, cause: error});
      }
      const why = error instanceof Error ? error.message : '';
      throw new TunlError('TOKENS_UNREADABLE', {
        reason: `${this.path} cannot be used: ${why}.`,
        cause: error,
      });
    }
  }

  /** A short text that differs after each change of the file, its mode and its owner; undefined when there is none. */
  async stamp(): Promise<string | undefined> {
    try {
      const {ino, size, mtimeNs, ctimeNs} = await stat(this.path, {bigint: true});
      return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
    } catch (error) {
      return systemCode(error) === 'ENOENT' ? undefined : systemCode(error);
    }
  }

  /**
   * Reads, changes and writes the tokens, while no other process does.
   *
   * @param change returns the new tokens, and a result for the caller. The array that it got means no change: nothing is written.
   * @throws TunlError TOKENS_UNREADABLE, STATE_DIR, or that of `change`. The file is as before then.
   */
  async change<T>(
    change: (records: readonly TokenRecord[]) => readonly [readonly TokenRecord[], T],
  ): Promise<T> {
    const folder = await openStateDir(this.#stateDir, FOLDER);
    try {
      return await withLock(join(folder, `${FILE}.lock`), async () => {
        await removeOldDrafts(this.path);
        const before = (await this.read()) ?? [];
        const [records, result] = change(before);
        if (records === before) return result;
        await writeFileAtomic(this.path, textOf(records));
        const ids = new Set(records.map(({id}) => id));
        if (before.some(({id}) => !ids.has(id))) await keepUseTimes(this.path, ids);
        return result;
      });
    } catch (error) {
      throw toTunlError(error, 'STATE_DIR');
    }
  }
}
