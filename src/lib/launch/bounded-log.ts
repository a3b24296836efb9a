// The log of a process in the background: two files of bounded size, whatever the process and its program print.
//
// The process's own stderr is the file, so a crash message of Node itself goes there, too. JavaScript cannot point a
// descriptor to another file, so the process that writes to the file copies it and then empties it.

import {copyFileSync, fstatSync, ftruncateSync, renameSync, rmSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {basename, dirname} from 'node:path';

/** The size limit of each of the two files; the newer one may exceed it by one write. */
const MAX_BYTES = 2 * 1024 * 1024;

/** The file with the log's content before it was last emptied. */
export interface OlderLog {
  /** How often the log was emptied. */
  readonly generation: number;
  /** Undefined: there is no older file. */
  readonly path: string | undefined;
}

export class BoundedLog {
  readonly #path: string;
  readonly #fd: number;
  readonly #maxBytes: number;
  #generation = 0;

  /** @param fd open for appending to `path` */
  constructor(path: string, fd: number, maxBytes = MAX_BYTES) {
    this.#path = path;
    this.#fd = fd;
    this.#maxBytes = maxBytes;
  }

  /** Must be called before each write. Never throws, because a log that cannot be kept must not end a tunnel. */
  makeRoom(): void {
    try {
      if (fstatSync(this.#fd).size >= this.#maxBytes) this.#begin(this.#generation + 1);
    } catch {
      // The disk is full, or the file is gone: the next write reports that, or is lost.
    }
  }

  #begin(generation: number): void {
    const older = `${this.#path}.${generation}`;
    const draft = `${older}.draft`;
    try {
      copyFileSync(this.#path, draft);
    } finally {
      // Also on a full disk, because the bound is more important than the lines.
      ftruncateSync(this.#fd, 0);
      this.#generation = generation;
    }
    // Readers look for the new name when they find that the log has become shorter.
    renameSync(draft, older);
    rmSync(`${this.#path}.${generation - 1}`, {force: true});
  }
}

export async function olderLog(path: string): Promise<OlderLog> {
  const prefix = `${basename(path)}.`;
  const generations = (await readdir(dirname(path)).catch(() => []))
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)));
  const generation = Math.max(0, ...generations);
  return {generation, path: generation === 0 ? undefined : `${path}.${generation}`};
}
