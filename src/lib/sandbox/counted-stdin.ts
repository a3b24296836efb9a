// The standard input of a sandbox's command: it waits until the command runs, and tells that it is used.

import {Writable} from 'node:stream';

type Done = (error?: Error | null) => void;

export class CountedStdin extends Writable {
  readonly #target: Promise<Writable>;
  readonly #onBytes: () => void;

  /** @param target rejects if the command never runs. */
  constructor(target: Promise<Writable>, onBytes: () => void) {
    super({decodeStrings: true});
    this.#target = target;
    this.#onBytes = onBytes;
    target.catch(() => {});
    // The end of the command breaks it, which is no error of its writer.
    this.on('error', () => {});
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#onBytes();
    this.#target.then((to) => {
      if (to.writable) to.write(chunk, done);
      else done(Object.assign(new Error('the command reads no more'), {code: 'EPIPE'}));
    }, done);
  }

  override _final(done: Done): void {
    this.#target.then((to) => {
      to.end();
      done();
    }, done);
  }
}
