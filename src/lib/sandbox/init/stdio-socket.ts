// Two descriptors, one for each direction, as one socket. A container's init has no other way to its host than stdin and stdout.

import {Socket} from 'node:net';
import {Duplex} from 'node:stream';

type Done = (error?: Error | null) => void;

class StdioSocket extends Duplex {
  // Not `process.stdout`: its writes to a pipe wait in the kernel, and the init would not read meanwhile.
  readonly #input = new Socket({fd: 0, readable: true, writable: false});
  readonly #output = new Socket({fd: 1, readable: false, writable: true});

  constructor() {
    super({allowHalfOpen: true});
    this.#input.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) this.#input.pause();
    });
    this.#input.on('end', () => this.push(null));
    this.#input.on('error', (error) => this.destroy(error));
    this.#output.on('error', (error) => this.destroy(error));
    this.#output.on('close', () => this.destroy());
  }

  setTimeout(): this {
    return this;
  }

  override _read(): void {
    this.#input.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#output.write(chunk, done);
  }

  override _final(done: Done): void {
    this.#output.end(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#input.destroy();
    this.#output.destroy();
    done(error);
  }
}

/** It has all of a socket that a carrier uses. */
export const stdioSocket = (): Socket => new StdioSocket() as Duplex as Socket;
