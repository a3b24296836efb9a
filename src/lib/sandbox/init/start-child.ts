// Starts one program as the leader of its own session and process group, with pipes.

import {type ChildProcess, spawn} from 'node:child_process';
import {closeSync, statSync, writeFileSync} from 'node:fs';
import {Socket} from 'node:net';
import {PassThrough, type Readable, type Writable} from 'node:stream';
import {systemCode, TunlError} from '../../core/errors.js';
import {openPipes, type PipeEnds, type Pipes} from './pipes.js';

/** When memory is short the kernel kills a child before the init, so that the init can tell. */
const CHILD_OOM_SCORE = '500';

export interface ChildOptions {
  program: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  workdir: string | undefined;
  /** The name of the program in errors. Default: `program`. */
  label?: string;
  /** Descriptor 3 of the program is a pipe to `more`. */
  hasMore?: boolean;
}

export interface StartedChild {
  readonly child: ChildProcess;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly more: Readable | undefined;
}

/** @throws TunlError SANDBOX_COMMAND */
export async function startChild(pipes: Pipes, options: ChildOptions): Promise<StartedChild> {
  const {workdir, label = options.program} = options;
  if (workdir !== undefined) checkWorkdir(workdir);
  const taken = await pipes.take(3);
  try {
    const started = taken === undefined ? await withSockets(options) : await withPipes(options, taken);
    // A program may end without its input. The rest of it fails then, perhaps long after its sender has gone.
    started.stdin.on('error', () => {});
    return started;
  } catch (error) {
    throw commandError(`${label} cannot be run`, error);
  }
}

async function withPipes(options: ChildOptions, taken: readonly number[]): Promise<StartedChild> {
  const ends = openPipes(taken, ['reads', 'writes', 'writes']);
  const [stdin, stdout, stderr] = ends as [PipeEnds, PipeEnds, PipeEnds];
  const close = (side: keyof PipeEnds) => {
    for (const pipe of ends) closeSync(pipe[side]);
  };
  let child: ChildProcess;
  try {
    child = start(options, [stdin.program, stdout.program, stderr.program]);
    await spawned(child);
  } catch (error) {
    close('own');
    throw error;
  } finally {
    close('program');
  }
  const input = new Socket({fd: stdin.own, readable: false, writable: true});
  child.once('exit', () => input.destroy());
  return {
    child,
    stdin: input,
    stdout: new Socket({fd: stdout.own, readable: true, writable: false}),
    stderr: new Socket({fd: stderr.own, readable: true, writable: false}),
    more: (child.stdio[3] ?? undefined) as Readable | undefined,
  };
}

async function withSockets(options: ChildOptions): Promise<StartedChild> {
  const child = start(options, ['pipe', 'pipe', 'pipe']);
  // Without free descriptors a child has no streams until its error comes.
  await spawned(child);
  const {stdin, stdout, stderr} = child;
  if (stdin === null || stdout === null || stderr === null) throw new Error('a process without pipes');
  const kept = {stdout: copied(stdout), stderr: copied(stderr)};
  return {child, stdin, ...kept, more: (child.stdio[3] ?? undefined) as Readable | undefined};
}

function start(
  {program, args, env, workdir, hasMore}: ChildOptions,
  stdio: (number | 'pipe')[],
): ChildProcess {
  const child = spawn(program, args, {
    cwd: workdir,
    env,
    detached: true,
    stdio: hasMore ? [...stdio, 'pipe'] : stdio,
  });
  preferForOom(child);
  return child;
}

/** Resolves when the program has been executed. */
async function spawned(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  // Later errors are those of `kill`, which is not used.
  child.on('error', () => {});
}

/** When a child has ended, Node reads on and discards what nobody has read yet. */
function copied(output: Readable): Readable {
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
    throw commandError(`The working directory ${path} cannot be entered`, error);
  }
  if (!isFolder) throw new TunlError('SANDBOX_COMMAND', {reason: `${path} is not a folder.`});
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'no permission',
  EAGAIN: 'the sandbox may have no more processes',
  E2BIG: 'its arguments are too long',
};

export function commandError(what: string, error: unknown): TunlError {
  if (error instanceof TunlError) return error;
  const code = systemCode(error);
  return new TunlError('SANDBOX_COMMAND', {
    reason: `${what}: ${REASONS[code] ?? 'it failed'} (${code || 'unknown reason'}).`,
    cause: error,
  });
}

function preferForOom({pid}: ChildProcess): void {
  if (pid === undefined) return;
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, CHILD_OOM_SCORE);
  } catch {
    // It has ended, or there is no /proc.
  }
}

/** To the process and its group. */
export function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has just ended.
  }
}
