// `tunl sandbox cp`: copies files and folders into a sandbox and out of it. A sandbox may lie about its files, so names from
// inside never lead out of the target folder, and links are not made.

import {createReadStream, createWriteStream} from 'node:fs';
import {lstat, mkdir, readdir, stat} from 'node:fs/promises';
import {basename, join, posix} from 'node:path';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {systemCode, TunlError} from '../../core/errors.js';
import type {FileEntry} from '../../sandbox/backend.js';
import type {SandboxControl} from '../../sandbox/control.js';
import {passOn} from '../stdout.js';
import type {Copy} from './copy-path.js';

export interface Copied {
  files: number;
  bytes: number;
}

export interface CopyOptions {
  readonly control: SandboxControl;
  readonly copy: Copy;
  /** About files that are left out. */
  readonly onNotice: (text: string) => void;
}

/** Folders within folders; a sandbox may claim any number of them. */
const MAX_DEPTH = 64;
const MODE = 0o777;

/** @throws TunlError SANDBOX_FILE, SANDBOX_ENDED, FILE_UNREADABLE, STDOUT_FAILED */
export async function copyFiles({control, copy, onNotice}: CopyOptions): Promise<Copied> {
  const work = new CopyWork(control, onNotice);
  if (copy.into) await work.into(copy.local, copy.inside);
  else await work.outOf(copy.inside, copy.local);
  return {files: work.files, bytes: work.bytes};
}

class CopyWork {
  files = 0;
  bytes = 0;
  readonly #control: SandboxControl;
  readonly #notice: (text: string) => void;

  constructor(control: SandboxControl, notice: (text: string) => void) {
    this.#control = control;
    this.#notice = notice;
  }

  async into(local: string, inside: string): Promise<void> {
    if (local === '-') return await this.#send(process.stdin, 'stdin', inside, 0o644);
    const found = await ofHost(local, () => stat(local));
    // As with cp: a target that is a folder gets the source under its own name.
    const isFolder = inside.endsWith('/') || (await this.#isFolder(inside));
    const name = basename(local) === '.' || basename(local) === '..' ? '' : basename(local);
    const target = isFolder ? posix.join(inside, name) : inside;
    if (!found.isDirectory())
      return await this.#send(createReadStream(local), local, target, found.mode & MODE);
    await this.#sendFolder(local, target);
  }

  async outOf(inside: string, local: string): Promise<void> {
    const entry = await this.#entryOf(inside);
    if (local === '-') {
      if (entry?.kind === 'folder')
        throw new TunlError('USAGE', {
          reason: 'A folder cannot go to stdout.',
          next: 'Use `tunl sandbox exec ID -- tar -c PATH`.',
        });
      const content = await this.#control.files.read(inside);
      return await passOn(this.#counted(content));
    }
    const isFolder = local.endsWith('/') || (await isLocalFolder(local));
    const target = isFolder ? join(local, safeName(posix.basename(inside)) ?? '') : local;
    if (entry?.kind === 'folder') await this.#receiveFolder(inside, target, 0);
    else await this.#receive(inside, target, entry?.mode);
  }

  /** @param source for errors */
  async #send(content: Readable, source: string, target: string, mode: number): Promise<void> {
    // It may fail before anybody reads it.
    content.on('error', () => {});
    const read = Readable.from(this.#readable(content, source), {objectMode: false});
    await this.#control.files.write(target, read, {mode});
  }

  /** The error of a write that ends this early is none of the source. @throws TunlError FILE_UNREADABLE */
  async *#readable(content: Readable, source: string): AsyncGenerator<Buffer> {
    try {
      yield* this.#counted(content);
    } catch (error) {
      throw unreadable(source, error);
    }
  }

  async #sendFolder(local: string, target: string): Promise<void> {
    const names = await ofHost(local, () => readdir(local));
    let isEmpty = true;
    for (const name of names) {
      const path = join(local, name);
      const found = await ofHost(path, () => lstat(path));
      if (found.isDirectory()) await this.#sendFolder(path, posix.join(target, name));
      else if (found.isFile())
        await this.#send(createReadStream(path), path, posix.join(target, name), found.mode & MODE);
      else {
        this.#notice(`${path} is left out: it is neither a file nor a folder`);
        continue;
      }
      isEmpty = false;
    }
    if (isEmpty) await this.#makeFolder(target);
  }

  /** Folders come with their files. An empty one needs `mkdir` inside. */
  async #makeFolder(path: string): Promise<void> {
    const mkdir = await this.#control.exec({command: ['mkdir', '-p', '--', path]}).catch(() => undefined);
    mkdir?.stdin.on('error', () => {}).end();
    mkdir?.stdout.resume();
    mkdir?.stderr.resume();
    if ((await mkdir?.exit)?.code !== 0)
      this.#notice(`${path} is left out: an empty folder cannot be made there`);
  }

  async #receiveFolder(inside: string, target: string, depth: number): Promise<void> {
    if (depth > MAX_DEPTH)
      throw new TunlError('SANDBOX_FILE', {
        reason: `${inside} has more than ${MAX_DEPTH} folders within one another.`,
      });
    const entries = await this.#control.files.list(inside);
    await ofHost(target, () => mkdir(target, {recursive: true}));
    for (const entry of entries) {
      const name = safeName(entry.name);
      const path = posix.join(inside, entry.name);
      if (name === undefined)
        throw new TunlError('SANDBOX_FILE', {reason: `${inside} has a file with an impossible name.`});
      if (entry.kind === 'folder') await this.#receiveFolder(path, join(target, name), depth + 1);
      else if (entry.kind === 'file') await this.#receive(path, join(target, name), entry.mode);
      else this.#notice(`${path} is left out: it is neither a file nor a folder`);
    }
  }

  async #receive(inside: string, target: string, mode = 0o644): Promise<void> {
    const content = await this.#control.files.read(inside);
    const file = createWriteStream(target, {mode: mode & MODE});
    try {
      await pipeline(this.#counted(content), file);
    } catch (error) {
      if (error instanceof TunlError) throw error;
      throw new TunlError('FILE_UNREADABLE', {
        reason: `${target} cannot be written (${systemCode(error)}).`,
        next: 'Check its path and permissions.',
        cause: error,
      });
    }
  }

  async *#counted(content: Readable): AsyncGenerator<Buffer> {
    this.files += 1;
    for await (const piece of content as AsyncIterable<Buffer>) {
      this.bytes += piece.length;
      yield piece;
    }
  }

  /** Undefined: its folder cannot be listed, such as that of `/`. */
  async #entryOf(inside: string): Promise<FileEntry | undefined> {
    const path = posix.join(inside, '.');
    const isRoot = ['/', '.', '..'].includes(posix.basename(path)) || posix.basename(path) === '';
    const folder: FileEntry = {name: '', kind: 'folder', bytes: 0, mode: 0o755, modifiedAt: 0};
    if (isRoot) return folder;
    const entries = await this.#control.files.list(posix.dirname(path)).catch(() => []);
    const entry = entries.find(({name}) => name === posix.basename(path));
    // A link may lead to a folder.
    if (entry?.kind === 'link' && (await this.#isFolder(path))) return folder;
    return entry;
  }

  async #isFolder(inside: string): Promise<boolean> {
    return await this.#control.files.list(inside).then(
      () => true,
      () => false,
    );
  }
}

/** Undefined: it would lead elsewhere. */
function safeName(name: string): string | undefined {
  return name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name) ? undefined : name;
}

async function isLocalFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** @throws TunlError FILE_UNREADABLE */
async function ofHost<T>(path: string, look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, cause: unknown): TunlError {
  return new TunlError('FILE_UNREADABLE', {reason: `${path} cannot be used (${systemCode(cause)}).`, cause});
}
