// Files inside a sandbox, as programs use them.

import {Readable} from 'node:stream';
import {TunlError} from '../core/errors.js';
import type {FileEntry, SandboxFiles} from './backend.js';

/** A file inside may be of any size: a larger one is read as a stream. */
const READ_BYTES = 64 * 1024 * 1024;

/** Paths are absolute inside, or relative to the working directory of the command. */
export class SandboxFs {
  readonly #files: SandboxFiles;

  constructor(files: SandboxFiles) {
    this.#files = files;
  }

  /**
   * The content of a file.
   *
   * @param options.maxBytes a longer file is an error (EFBIG). Default 64 MiB.
   * @throws TunlError SANDBOX_FILE, SANDBOX_ENDED
   */
  async read(path: string, {maxBytes = READ_BYTES}: {maxBytes?: number} = {}): Promise<Buffer> {
    const stream = await this.#files.read(path);
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of stream as AsyncIterable<Buffer>) {
      bytes += piece.length;
      // Leaving the loop destroys the stream.
      if (bytes > maxBytes) {
        throw new TunlError('SANDBOX_FILE', {
          reason: `${path} has more than ${maxBytes} bytes (EFBIG).`,
          next: 'Read it with stream(), or allow more with maxBytes.',
        });
      }
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }

  /** The same as UTF-8. */
  async readText(path: string, options?: {maxBytes?: number}): Promise<string> {
    return (await this.read(path, options)).toString('utf8');
  }

  /** The content piece by piece, of any length. @throws TunlError SANDBOX_FILE, SANDBOX_ENDED */
  async stream(path: string): Promise<Readable> {
    return await this.#files.read(path);
  }

  /**
   * Makes or replaces a file; missing folders above are made. Resolves when it is complete.
   *
   * @param options.mode permission bits of a new file. Default 0o644.
   * @throws TunlError SANDBOX_FILE, SANDBOX_ENDED
   */
  async write(
    path: string,
    content: string | Uint8Array | AsyncIterable<Uint8Array> | Readable,
    options: {mode?: number} = {},
  ): Promise<void> {
    const whole = typeof content === 'string' || content instanceof Uint8Array;
    const stream = whole
      ? Readable.from([Buffer.from(content as string)], {objectMode: false})
      : Readable.from(content);
    await this.#files.write(path, stream, options);
  }

  /** The entries of a folder. @throws TunlError SANDBOX_FILE, SANDBOX_ENDED */
  async list(path: string): Promise<readonly FileEntry[]> {
    return await this.#files.list(path);
  }
}
