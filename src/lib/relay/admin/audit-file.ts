// The audit file: one JSON object a line, only ever added to. Another program may rotate it.

import {type FileHandle, open, stat} from 'node:fs/promises';
import {systemCode, TunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import type {Part} from '../part.js';
import type {AuditLine} from './audit-log.js';

/** Lines that wait for a slow disk. Later ones are lost, and counted. */
const MOST_WAITING = 50_000;

const LINE_END = 0x0a;

export class AuditFile implements Part {
  readonly #path: string;
  readonly #log: Logger;
  #file: FileHandle | undefined;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #lost = 0;
  /** A failure is reported once, until a line is written again. */
  #hasFailed = false;
  /** Whoever wrote last, this process or one before it, may have left half a line. */
  #mayEndInLine = true;
  #isClosed = false;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  /** The number of lines that could not be written. */
  get lost(): number {
    return this.#lost;
  }

  /** @throws TunlError FILE_UNREADABLE when the file cannot be opened: an audit that is missing must not go unnoticed */
  async start(): Promise<void> {
    try {
      this.#file = await openFile(this.#path);
    } catch (error) {
      throw new TunlError('FILE_UNREADABLE', {
        reason: `The audit file ${this.#path} cannot be written (${systemCode(error)}).`,
        cause: error,
      });
    }
  }

  /** Nothing is written after the close. */
  add(line: AuditLine): void {
    if (this.#isClosed) return;
    if (this.#waiting.length >= MOST_WAITING) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(`${JSON.stringify(line)}\n`);
    this.#writing ??= this.#write();
  }

  /** Resolves when nothing waits. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Writes what waits, and closes the file. */
  async close(): Promise<void> {
    await this.settled();
    this.#isClosed = true;
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await this.#followRotation();
        const start = this.#mayEndInLine && (await this.#endsInLine()) ? '\n' : '';
        await this.#file?.appendFile(start + lines.join(''));
        this.#mayEndInLine = false;
        this.#hasFailed = false;
      } catch (error) {
        this.#mayEndInLine = true;
        this.#lost += lines.length;
        if (!this.#hasFailed)
          this.#log.error('the audit file cannot be written', {path: this.#path, reason: systemCode(error)});
        this.#hasFailed = true;
      }
    }
    // In the turn in which nothing waits any more: the next line begins another write.
    this.#writing = undefined;
  }

  /** The file was renamed or removed: the next lines belong into a new one at the same path. */
  async #followRotation(): Promise<void> {
    const [there, mine] = await Promise.all([
      stat(this.#path).catch(() => undefined),
      this.#file?.stat().catch(() => undefined),
    ]);
    if (there !== undefined && mine !== undefined && there.ino === mine.ino && there.dev === mine.dev) return;
    const next = await openFile(this.#path);
    await this.#file?.close().catch(() => {});
    this.#file = next;
    this.#mayEndInLine = true;
  }

  /** A full disk, or the end of the process, has cut the last line: the next one would become a part of it. */
  async #endsInLine(): Promise<boolean> {
    const size = (await this.#file?.stat())?.size ?? 0;
    // Also a pipe or a terminal.
    if (size === 0) return false;
    try {
      const file = await open(this.#path, 'r');
      try {
        const {bytesRead, buffer} = await file.read(Buffer.alloc(1), 0, 1, size - 1);
        return bytesRead === 1 && buffer[0] !== LINE_END;
      } finally {
        await file.close();
      }
    } catch {
      // The relay may write to it and not read it. An empty line is better than one that holds two.
      return true;
    }
  }
}

const openFile = (path: string): Promise<FileHandle> => open(path, 'a', 0o600);
