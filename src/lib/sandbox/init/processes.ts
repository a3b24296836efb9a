// The processes of a sandbox, inside it: those that the host asks for.

import type {ChildProcess} from 'node:child_process';
import type {ExecRequest, ProcessEnd, SandboxProcess} from '../backend.js';
import {Pipes} from './pipes.js';
import {signalGroup, startChild} from './start-child.js';
import {startTerminal} from './terminal.js';

export class Processes {
  readonly #env: NodeJS.ProcessEnv;
  readonly #pipes = new Pipes();
  #count = 0;

  /** @param env the environment that all processes have. */
  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  /** Prepares what the first processes need. Never rejects. */
  prepare(): Promise<void> {
    return this.#pipes.prepare();
  }

  /** @throws TunlError SANDBOX_COMMAND */
  readonly start = async (request: ExecRequest): Promise<SandboxProcess> => {
    const env = {...this.#env, ...request.env};
    const started =
      request.tty === undefined
        ? await this.#startPlain(request, env)
        : await startTerminal(this.#pipes, {...request, tty: request.tty}, env);
    this.#count += 1;
    return processOf(started, `ex_${this.#count}`, request.timeoutMs);
  };

  async #startPlain({command, workdir}: ExecRequest, env: NodeJS.ProcessEnv): Promise<Started> {
    const [program = '', ...args] = command;
    const started = await startChild(this.#pipes, {program, args, env, workdir});
    const {child} = started;
    return {...started, signal: (signal) => signalGroup(child.pid, signal), resize: () => {}};
  }
}

/** A process with its streams. */
export interface Started extends Pick<SandboxProcess, 'stdin' | 'stdout' | 'stderr' | 'resize'> {
  readonly child: ChildProcess;
  /** Called only while the child runs. */
  signal(signal: NodeJS.Signals): void;
}

function processOf(started: Started, id: string, timeoutMs: number | undefined): SandboxProcess {
  const {child, stdin, stdout, stderr, resize} = started;
  let timedOut = false;
  let isOver = false;
  const kill = () => {
    timedOut = true;
    started.signal('SIGKILL');
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(kill, timeoutMs);
  const exit = new Promise<ProcessEnd>((resolve) => {
    const onExit = (code: number | null, signal: NodeJS.Signals | null) => {
      isOver = true;
      clearTimeout(timer);
      const end = signal === null ? {code: code ?? 0} : {signal};
      // A terminal tells a signal only as a code.
      resolve(timedOut ? {signal: 'SIGKILL', timedOut} : end);
    };
    child.once('exit', onExit);
    if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
  });
  return {
    id,
    stdin,
    stdout,
    stderr,
    exit,
    signal: async (signal) => {
      if (!isOver) started.signal(signal);
    },
    resize: (columns, rows) => {
      if (!isOver) resize(columns, rows);
    },
  };
}
