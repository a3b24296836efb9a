// The pseudo-terminal of the shell. The package that makes it is native and optional: it is loaded where it is needed only.
import {createRequire} from 'node:module';
import {TunlError} from '../../core/errors.js';
import type {Size} from './screen.js';

/** What is used of @lydell/node-pty. Its own types are missing where the package is. */
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
  write(data: string | Uint8Array): void;
  resize(cols: number, rows: number): void;
  pause(): void;
  resume(): void;
  kill(signal?: string): void;
  /** Not in its types: where input waits that the shell does not read. */
  readonly _socket?: {readonly writableLength: number; once(event: 'drain', listener: () => void): void};
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

/** Input that waits for a shell that reads nothing, bytes: pages are not read from until it is less. */
const MOST_INPUT = 256 * 1_024;

export class Pty {
  readonly #process: PtyProcess;
  #isHeld = false;
  #ended = false;

  constructor({command, env, cwd, size, onData, onExit}: PtyOptions) {
    const [file, ...args] = command;
    const options = {...size, cwd, env, name: 'xterm-256color', encoding: null};
    this.#process = loadPty().spawn(file, args, options);
    this.#process.onData(onData);
    this.#process.onExit(({exitCode, signal = 0}) => {
      this.#ended = true;
      onExit({code: exitCode, signal});
    });
  }

  write(data: string | Uint8Array): void {
    if (!this.#ended) this.#process.write(typeof data === 'string' ? data : Buffer.from(data));
  }

  /** Undefined while more input can be taken; else resolves when it can. */
  get full(): Promise<void> | undefined {
    const socket = this.#process._socket;
    if (this.#ended || socket === undefined || socket.writableLength < MOST_INPUT) return undefined;
    return new Promise((resolve) => socket.once('drain', resolve));
  }

  resize({cols, rows}: Size): void {
    if (this.#ended) return;
    try {
      this.#process.resize(cols, rows);
    } catch {
      // It is ending: its descriptor is closed, and the end is about to be told.
    }
  }

  /** Held, it is not read from: the kernel stops whoever writes to it. */
  hold(isHeld: boolean): void {
    if (isHeld === this.#isHeld || this.#ended) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#process.pause();
    else this.#process.resume();
  }

  /** As a closed window does: SIGHUP. */
  hangUp(): void {
    if (!this.#ended) this.#process.kill('SIGHUP');
  }
}
