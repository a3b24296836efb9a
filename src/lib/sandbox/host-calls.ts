// Calls into a running sandbox: they are checked before, and its end settles them.

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

/** A process that is settled at the end of the sandbox at the latest. `onExit`: it runs no more. */
export function settledBy(
  pending: PendingCalls,
  running: SandboxProcess,
  onExit: () => void,
): SandboxProcess {
  const {id, stdin, stdout, stderr} = running;
  const exit = pending.race(running.exit).finally(onExit);
  exit.catch(() => {});
  return {
    id,
    stdin,
    stdout,
    stderr,
    exit,
    signal: (signal) => pending.race(running.signal(signal)),
    resize: (columns, rows) => running.resize(columns, rows),
  };
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
