// The files of a running sandbox. A transfer is use of the sandbox from its beginning to its end.

import {finished, type Readable} from 'node:stream';
import type {FileEntry, SandboxFiles, SandboxHandle} from './backend.js';
import {destroyLate} from './host-calls.js';

/** Calls into the sandbox as soon as it runs. @param late gets a result that nobody waits for any more. */
type Inside = <T>(what: (handle: SandboxHandle) => Promise<T>, late?: (value: T) => void) => Promise<T>;

export class UsedFiles implements SandboxFiles {
  readonly #inside: Inside;
  /** A transfer has begun or ended. */
  readonly #onUse: () => void;
  #transfers = 0;

  constructor(inside: Inside, onUse: () => void) {
    this.#inside = inside;
    this.#onUse = onUse;
  }

  /** Transfers that have not ended. */
  get transfers(): number {
    return this.#transfers;
  }

  async read(path: string): Promise<Readable> {
    const end = this.#begin();
    try {
      const content = await this.#inside((handle) => handle.files.read(path), destroyLate);
      finished(content, {writable: false}, end);
      return content;
    } catch (error) {
      end();
      throw error;
    }
  }

  async write(path: string, content: Readable, options?: {mode?: number}): Promise<void> {
    const end = this.#begin();
    try {
      await this.#inside((handle) => handle.files.write(path, content, options));
    } finally {
      end();
    }
  }

  async list(path: string): Promise<readonly FileEntry[]> {
    return await this.#inside((handle) => handle.files.list(path));
  }

  #begin(): () => void {
    this.#transfers += 1;
    this.#onUse();
    return () => {
      this.#transfers -= 1;
      this.#onUse();
    };
  }
}
