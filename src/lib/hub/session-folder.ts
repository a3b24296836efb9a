// The records of sessions, in a folder each. A record is written aside and renamed.

import {mkdir, readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {openStateDir, writeFileAtomic} from '../core/state-dir.js';
import {isFinal, type SessionRecord, type SessionState} from './session.js';

const ID = /^s_[a-z2-9]{8}$/;
const STATES: readonly SessionState[] = ['queued', 'starting', 'ready', 'stopping', 'stopped', 'failed'];

export class SessionFolder {
  readonly #path: string;
  /** Writes of one record happen one after the other, so the last one stays. */
  readonly #writing = new Map<string, Promise<void>>();

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws TunlError STATE_DIR */
  static async open(stateDir: string): Promise<SessionFolder> {
    return new SessionFolder(await openStateDir(stateDir, 'hub', 'sessions'));
  }

  /** Records that can be read. An unreadable one is left where it is. */
  async readAll(): Promise<SessionRecord[]> {
    const names = await readdir(this.#path);
    const read = await Promise.all(names.filter((name) => ID.test(name)).map((id) => this.#read(id)));
    return read.filter((each) => each !== undefined);
  }

  async #read(id: string): Promise<SessionRecord | undefined> {
    try {
      const value: unknown = JSON.parse(await readFile(join(this.#path, id, 'session.json'), 'utf8'));
      return isRecord(value, id) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /** @throws TunlError STATE_DIR when the disk is full, for instance */
  async write(record: SessionRecord): Promise<void> {
    const before = this.#writing.get(record.id) ?? Promise.resolve();
    const text = `${JSON.stringify(record)}\n`;
    const write = before
      .catch(() => {})
      .then(async () => {
        const folder = join(this.#path, record.id);
        await mkdir(folder, {recursive: true, mode: 0o700});
        await writeFileAtomic(join(folder, 'session.json'), text);
      });
    this.#writing.set(record.id, write);
    try {
      await write;
    } finally {
      if (this.#writing.get(record.id) === write) this.#writing.delete(record.id);
    }
  }

  async remove(id: string): Promise<void> {
    await this.#writing.get(id)?.catch(() => {});
    await rm(join(this.#path, id), {recursive: true, force: true});
  }
}

function isRecord(value: unknown, id: string): value is SessionRecord {
  if (typeof value !== 'object' || value === null) return false;
  const each = value as Record<string, unknown>;
  const isText = (name: string) => typeof each[name] === 'string';
  const isNumber = (name: string) => typeof each[name] === 'number';
  return (
    each.id === id &&
    ['userId', 'template', 'label', 'secret'].every(isText) &&
    ['createdAt', 'restarts'].every(isNumber) &&
    STATES.includes(each.state as SessionState) &&
    // The end belongs to the final states.
    isFinal(each.state as SessionState) === (each.endedAt !== undefined)
  );
}
