// Starts the processes of a sandbox, inside it. Each has a process group of its own.

import {type ChildProcess, spawn} from 'node:child_process';
import {statSync, writeFileSync} from 'node:fs';
import {PassThrough, type Readable} from 'node:stream';
import {systemCode, TunlError} from '../../core/errors.js';
import type {ExecRequest, ProcessEnd, SandboxProcess} from '../backend.js';

/** When memory is short the kernel kills a child before the init, so that the init can tell. */
const CHILD_OOM_SCORE = '500';

export class Processes {
  readonly #env: NodeJS.ProcessEnv;
  #count = 0;

  /** @param env the environment that all processes have. */
  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /** @throws TunlError SANDBOX_COMMAND */
  readonly start = async (request: ExecRequest): Promise<SandboxProcess> => {
    const {command, env, workdir, timeoutMs} = request;
    const [program = '', ...args] = command;
    if (workdir !== undefined) checkWorkdir(workdir);
    const child = await spawned(program, () =>
      spawn(program, args, {
        cwd: workdir,
        env: {...this.#env, ...env},
        detached: true,
        stdio: 'pipe',
      }),
    );
    this.#count += 1;
    return processOf(child, `ex_${this.#count}`, timeoutMs);
  };
}

function processOf(child: ChildProcess, id: string, timeoutMs: number | undefined): SandboxProcess {
  const {stdin, stdout, stderr} = child;
  if (stdin === null || stdout === null || stderr === null) throw new Error('a process without pipes');
  preferForOom(child);
  let timedOut = false;
  let isOver = false;
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          signalGroup(child, 'SIGKILL');
        }, timeoutMs);
  const exit = new Promise<ProcessEnd>((resolve) => {
    child.once('exit', (code, signal) => {
      isOver = true;
      clearTimeout(timer);
      const end = signal === null ? {code: code ?? 0} : {signal};
      resolve(timedOut ? {...end, timedOut} : end);
    });
  });
  return {
    id,
    stdin,
    stdout: kept(stdout),
    stderr: kept(stderr),
    exit,
    signal: async (signal) => {
      if (!isOver) signalGroup(child, signal);
    },
    resize: () => {},
  };
}

/** When a child has ended, Node reads on and discards what nobody has read yet. */
function kept(output: Readable): Readable {
  const copy = new PassThrough();
  output.on('error', (error) => copy.destroy(error));
  copy.on('close', () => output.destroy());
  return output.pipe(copy);
}

/** A spawn in a missing folder would report that the program is missing. */
function checkWorkdir(path: string): void {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    throw failed(`The working directory ${path} cannot be entered`, error);
  }
  if (!isFolder) throw new TunlError('SANDBOX_COMMAND', {reason: `${path} is not a folder.`});
}

/** Resolves when the program has been executed. */
async function spawned(program: string, start: () => ChildProcess): Promise<ChildProcess> {
  try {
    const child = start();
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    // Later errors are those of `kill`, which is not used.
    child.on('error', () => {});
    return child;
  } catch (error) {
    throw failed(`${program} cannot be run`, error);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'no permission',
  EAGAIN: 'the sandbox may have no more processes',
  E2BIG: 'its arguments are too long',
};

function failed(what: string, error: unknown): TunlError {
  const code = systemCode(error);
  return new TunlError('SANDBOX_COMMAND', {
    reason: `${what}: ${REASONS[code] ?? 'it failed'} (${code || 'unknown reason'}).`,
    cause: error,
  });
}

function signalGroup({pid}: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has just ended.
  }
}

function preferForOom({pid}: ChildProcess): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, CHILD_OOM_SCORE);
  } catch {
    // It has ended, or there is no /proc.
  }
}
