// The output of a process inside a sandbox, as programs read it: piece by piece, or as one text.

import type {Readable} from 'node:stream';
import {TunlError} from '../core/errors.js';

/** The kept bytes of an output that is taken as a whole, or that nobody reads. */
const KEPT_BYTES = 16 * 1024 * 1024;

/**
 * Read it once: as an async iterable of pieces, which the process waits for, or as a whole. Of a whole at most 16 MiB are kept,
 * because a process inside may print without end.
 */
export class SandboxOutput implements AsyncIterable<Buffer> {
  readonly #stream: Readable;
  readonly #exit: Promise<unknown>;
  #whole: Promise<Buffer> | undefined;
  #isTaken = false;
  #droppedBytes = 0;

  /** @param exit of the process: it knows why the sandbox has ended. */
  constructor(stream: Readable, exit: Promise<unknown>) {
    this.#stream = stream;
    this.#exit = exit;
    // Without a reader an error would end this process.
    stream.on('error', () => {});
  }

  /** Bytes that `text` or `bytes` left out, because there were too many. */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Everything as UTF-8, at the end of the output. @throws TunlError SANDBOX_ENDED */
  async text(): Promise<string> {
    return (await this.bytes()).toString('utf8');
  }

  /** Everything, at the end of the output. @throws TunlError SANDBOX_ENDED */
  bytes(): Promise<Buffer> {
    this.#whole ??= this.#gather();
    return this.#whole;
  }

  /** The stream itself, for `pipe`. */
  get stream(): Readable {
    this.#isTaken = true;
    return this.#stream;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    this.#isTaken = true;
    try {
      yield* this.#stream;
    } catch (error) {
      if (error instanceof TunlError && error.code === 'SANDBOX_ENDED') await this.#exit;
      throw error;
    }
  }

  /** Keeps what nobody reads, so that the process can end. */
  keep(): void {
    if (!this.#isTaken) this.bytes().catch(() => {});
  }

  async #gather(): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of this) {
      const kept = piece.subarray(0, KEPT_BYTES - bytes);
      if (kept.length > 0) pieces.push(kept);
      bytes += kept.length;
      this.#droppedBytes += piece.length - kept.length;
    }
    return Buffer.concat(pieces);
  }
}
