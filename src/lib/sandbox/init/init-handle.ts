// The part of a running sandbox that is its init's work: the streams of the command, and connections to ports inside.

import type {Duplex, Readable, Writable} from 'node:stream';
import type {SandboxProcess} from '../backend.js';
import type {InitClient} from './init-client.js';

export interface InitParts {
  readonly init: InitClient;
  /** The command of the sandbox. */
  readonly main: SandboxProcess;
}

export abstract class InitHandle {
  readonly #init: InitClient;
  readonly #main: SandboxProcess;

  constructor({init, main}: InitParts) {
    this.#init = init;
    this.#main = main;
  }

  get stdin(): Writable {
    return this.#main.stdin;
  }

  get stdout(): Readable {
    return this.#main.stdout;
  }

  get stderr(): Readable {
    return this.#main.stderr;
  }

  /** @throws an error with a system code, such as ECONNREFUSED */
  dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    return this.#init.dial(port, signal);
  }
}
