// A process inside a sandbox, as programs use it.

import type {Writable} from 'node:stream';
import type {ProcessEnd, SandboxProcess} from './backend.js';
import {SandboxOutput} from './output.js';

export class ExecProcess {
  /** `ex_` and a number; unique in its sandbox. */
  readonly id: string;
  /** Ends its input with `end()`. */
  readonly stdin: Writable;
  readonly stdout: SandboxOutput;
  /** Empty with a terminal. */
  readonly stderr: SandboxOutput;
  readonly #running: SandboxProcess;

  constructor(running: SandboxProcess) {
    this.id = running.id;
    this.#running = running;
    this.stdin = running.stdin;
    this.stdin.on('error', () => {});
    this.stdout = new SandboxOutput(running.stdout, running.exit);
    this.stderr = new SandboxOutput(running.stderr, running.exit);
  }

  /**
   * Resolves to its end: `code` or `signal`, and `timedOut` when its own time was over. Output that nobody reads is kept
   * meanwhile, up to 16 MiB, and can be read afterwards.
   *
   * @throws TunlError SANDBOX_ENDED
   */
  async wait(): Promise<ProcessEnd> {
    this.stdout.keep();
    this.stderr.keep();
    return await this.#running.exit;
  }

  /** @param signal Default KILL. @throws TunlError SANDBOX_ENDED */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#running.signal(signal);
  }

  /** The size of its terminal. Without one nothing happens. */
  resize(columns: number, rows: number): void {
    this.#running.resize(columns, rows);
  }
}
