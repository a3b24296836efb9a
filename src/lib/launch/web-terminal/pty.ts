// The pseudo-terminal of the shell. Its package is native and optional, so it is loaded only on demand.
import {writeSync} from 'node:fs';
import {createRequire} from 'node:module';
import {childEnv} from '../../core/child-env.js';
import {TunlError} from '../../core/errors.js';
import {InputQueue} from './input-queue.js';
import type {Size} from './screen.js';

/** The part of @lydell/node-pty that is used. The package is optional, so its own types may be missing. */
interface NodePty {
  spawn(
    file: string,
    args: readonly string[],
    options: Size & {cwd: string; env: NodeJS.ProcessEnv; name: string; encoding: null},
  ): PtyProcess;
}

interface PtyProcess {
  onData(listener: (chunk: Uint8Array) => void): void;
  onExit(listener: (exit: {exitCode: number; signal?: number}) => void): void;
  resize(cols: number, rows: number): void;
  pause(): void;
  resume(): void;
  kill(signal?: string): void;
  /** These two are not in its types. The descriptor does not block, and is valid while the socket is not destroyed. */
  readonly fd: number;
  readonly _socket: {readonly destroyed: boolean};
}

/** @throws TunlError PROGRAM_MISSING */
export function loadPty(): NodePty {
  try {
    return createRequire(import.meta.url)('@lydell/node-pty');
  } catch (error) {
    const {platform, arch} = process;
    throw new TunlError('PROGRAM_MISSING', {
      reason: `The package @lydell/node-pty, which runs the shell, is not installed or does not work here (${platform}-${arch}).`,
      next: 'Install tunl with its optional packages (npm: without --omit=optional), or name gotty or ttyd with --bin.',
      cause: error,
    });
  }
}

export interface PtyOptions {
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly size: Size;
  readonly onData: (chunk: Uint8Array) => void;
  /** `signal` is its number; 0 for none. */
  readonly onExit: (exit: {code: number; signal: number}) => void;
}

export class Pty {
  readonly #process: PtyProcess;
  readonly #input: InputQueue;
  #isHeld = false;
  #ended = false;

  constructor({command, env, cwd, size, onData, onExit}: PtyOptions) {
    const [file, ...args] = command;
    const options = {...size, cwd, env: childEnv(env), name: 'xterm-256color', encoding: null};
    this.#process = loadPty().spawn(file, args, options);
    const {fd, _socket: socket} = this.#process;
    this.#input = new InputQueue((bytes) => {
      // Its number may now belong to another file.
      if (socket.destroyed) throw new TunlError('CLOSED');
      return writeSync(fd, bytes);
    });
    this.#process.onData(onData);
    this.#process.onExit(({exitCode, signal = 0}) => {
      this.#ended = true;
      this.#input.close();
      onExit({code: exitCode, signal});
    });
  }

  write(data: string | Uint8Array): void {
    this.#input.push(Buffer.from(data as Uint8Array));
  }

  /** Undefined while there is room for more input; else resolves when there is room. */
  get full(): Promise<void> | undefined {
    return this.#input.full;
  }

  resize({cols, rows}: Size): void {
    if (this.#ended) return;
    try {
      this.#process.resize(cols, rows);
    } catch {
      // It is ending: its descriptor is closed, and `onExit` will follow.
    }
  }

  /** While it is held, it is not read: the kernel then blocks the writer. */
  hold(isHeld: boolean): void {
    if (isHeld === this.#isHeld || this.#ended) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#process.pause();
    else this.#process.resume();
  }

  /** Sends SIGHUP, like a closed window. */
  hangUp(): void {
    if (!this.#ended) this.#process.kill('SIGHUP');
  }
}
