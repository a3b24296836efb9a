// The files of a sandbox, with paths relative to its working directory.

import {posix} from 'node:path';
import type {Readable} from 'node:stream';
import type {FileEntry} from '../backend.js';
import type {FileService} from '../init/serve-file.js';

type Files = Required<FileService>;

export class RelativeFiles implements Files {
  readonly #files: Files;
  readonly #workdir: string;

  constructor(files: Files, workdir: string) {
    this.#files = files;
    this.#workdir = workdir;
  }

  read(path: string): Promise<Readable> {
    return this.#files.read(this.#inside(path));
  }

  write(path: string, content: Readable, options?: {mode?: number}): Promise<void> {
    return this.#files.write(this.#inside(path), content, options);
  }

  list(path: string): Promise<readonly FileEntry[]> {
    return this.#files.list(this.#inside(path));
  }

  stat(path: string): Promise<FileEntry> {
    return this.#files.stat(this.#inside(path));
  }

  makeFolder(path: string, options?: {mode?: number}): Promise<void> {
    return this.#files.makeFolder(this.#inside(path), options);
  }

  remove(path: string, options?: {recursive?: boolean}): Promise<void> {
    return this.#files.remove(this.#inside(path), options);
  }

  #inside(path: string): string {
    return posix.resolve(this.#workdir, path);
  }
}
