// Calls into a running sandbox: they are checked before, and its end settles them.

import {TunlError} from '../core/errors.js';
import type {ExecRequest, SandboxProcess} from './backend.js';
import {checkCommand, checkEnv} from './options.js';
import type {PendingCalls} from './pending.js';

/** @throws TunlError OPTION_INVALID */
export function checkExec(request: ExecRequest): ExecRequest {
  return {
    ...request,
    command: checkCommand(request.command, 'The command'),
    env: request.env && checkEnv(request.env),
  };
}

/** The processes that callers have started and that still run. The end of the sandbox settles them at the latest. */
export class RunningProcesses {
  readonly #pending: PendingCalls;
  /** A process has begun or ended. */
  readonly #onUse: () => void;
  readonly #byId = new Map<string, SandboxProcess>();

  constructor(pending: PendingCalls, onUse: () => void) {
    this.#pending = pending;
    this.#onUse = onUse;
  }

  get size(): number {
    return this.#byId.size;
  }

  find(id: string): SandboxProcess | undefined {
    return this.#byId.get(id);
  }

  /** @throws TunlError SANDBOX_COMMAND */
  get(id: string): SandboxProcess {
    const running = this.find(id);
    if (running !== undefined) return running;
    throw new TunlError('SANDBOX_COMMAND', {
      reason: `No process ${JSON.stringify(String(id).slice(0, 40))} runs in the sandbox.`,
      next: 'Use the id of a process that exec has started and that still runs.',
    });
  }

  add(inside: SandboxProcess): SandboxProcess {
    const {id, stdin, stdout, stderr} = inside;
    const exit = this.#pending.race(inside.exit).finally(() => {
      this.#byId.delete(id);
      this.#onUse();
    });
    exit.catch(() => {});
    const running: SandboxProcess = {
      id,
      stdin,
      stdout,
      stderr,
      exit,
      signal: (signal) => this.#pending.race(inside.signal(signal)),
      resize: (columns, rows) => inside.resize(columns, rows),
    };
    this.#byId.set(id, running);
    this.#onUse();
    return running;
  }
}

/** Nobody waits for it any more. */
export function killLate(running: SandboxProcess): void {
  running.signal('SIGKILL').catch(() => {});
}

/** The same for a connection or the content of a file. */
export function destroyLate(stream: {
  destroy(): unknown;
  on(event: 'error', listener: () => void): unknown;
}): void {
  stream.on('error', () => {});
  stream.destroy();
}
