// Remembers the random name and port of an upstream, so that the same command in the same folder gets them again.

import {readFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import type {Logger} from '../core/logger.js';
import {createHash} from '../core/node-crypto.js';
import {openStateDir, writeFileAtomic} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';

export interface Remembered {
  name?: string;
  port?: number;
}

export interface NameQuestion {
  relayUrl: string;
  upstream: string;
  folder: string;
}

/** A file of more bytes than this is not from tunl. */
const MAX_BYTES = 1000;

/**
 * One small file for each (relay, upstream, folder): two tunnels that start at once write to two files, and none is lost. An
 * unreadable or unwritable memory is no error: the tunnel gets a new name.
 */
export class NameMemory {
  readonly #path: string;
  readonly #stateDir: string;
  readonly #log: Logger;

  constructor(stateDir: string, question: NameQuestion, log: Logger) {
    this.#stateDir = stateDir;
    const text = [question.relayUrl, question.upstream, question.folder].join('\n');
    this.#path = join(
      stateDir,
      'names',
      `${createHash('sha256').update(text).digest('hex').slice(0, 32)}.json`,
    );
    this.#log = log;
  }

  async recall(): Promise<Remembered> {
    try {
      await checkState(this.#stateDir, 'names', basename(this.#path));
      const text = await readFile(this.#path, 'utf8');
      const value: unknown = text.length > MAX_BYTES ? undefined : JSON.parse(text);
      if (typeof value !== 'object' || value === null) return {};
      const name = 'name' in value && typeof value.name === 'string' ? {name: value.name} : {};
      const port =
        'port' in value && typeof value.port === 'number' && Number.isInteger(value.port)
          ? {port: value.port}
          : {};
      return {...name, ...port};
    } catch {
      return {};
    }
  }

  /** A name and a port are remembered separately: a run that has only one of them, or neither, keeps the other. */
  async remember(what: Remembered): Promise<void> {
    const before = await this.recall();
    const after = {...before, ...what};
    if (after.name === before.name && after.port === before.port) return;
    try {
      await openStateDir(this.#stateDir, 'names');
      await writeFileAtomic(this.#path, `${JSON.stringify(after)}\n`);
    } catch (error) {
      this.#log.warn('the name cannot be remembered', {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
}
