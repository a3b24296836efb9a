// A program in a pseudo-terminal. Node can make none, so `script` of util-linux makes it and copies its bytes.

import {type ChildProcess, execFile} from 'node:child_process';
import {accessSync, constants} from 'node:fs';
import {resolve} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';
import {TunlError} from '../../core/errors.js';
import {shellWord} from '../../core/shell-word.js';
import type {ExecRequest} from '../backend.js';
import type {Pipes} from './pipes.js';
import type {Started} from './processes.js';
import {commandError, signalGroup, startChild} from './start-child.js';

type TerminalRequest = ExecRequest & {readonly tty: NonNullable<ExecRequest['tty']>};

/** Where the terminal is, told by the program's shell before it becomes the program. */
interface Place {
  /** The leader of the terminal's session. */
  pid: number;
  /** Such as `/dev/pts/0`. */
  path: string;
}

/** @throws TunlError SANDBOX_COMMAND */
export async function startTerminal(
  pipes: Pipes,
  request: TerminalRequest,
  env: NodeJS.ProcessEnv,
): Promise<Started> {
  const {command, workdir, tty} = request;
  const [program = '', ...args] = command;
  checkProgram(program, env.PATH ?? '', workdir ?? '.');
  const started = await startChild(pipes, {
    program: 'script',
    // Quiet, the exit code of the program, each piece at once, no file.
    args: ['-qefc', lineFor([program, ...args], tty, env.SHELL), '/dev/null'],
    env: {...env, TERM: tty.term, SHELL: '/bin/sh'},
    workdir,
    label: 'A terminal needs `script` (util-linux), which',
    hasMore: true,
  });
  const {child, more} = started;
  const place = await placeOf(more, child);
  const size = new TerminalSize(place, env);
  return {
    ...started,
    signal: (signal) => {
      signalGroup(place?.pid, signal);
      // `script` ends after its program. It ends at once only when everything must.
      if (signal === 'SIGKILL') signalGroup(child.pid, signal);
    },
    resize: (columns, rows) => size.set(columns, rows),
  };
}

/** The program must find its own SHELL, although `script` needs a plain one. */
function lineFor(
  command: readonly string[],
  {columns, rows}: TerminalRequest['tty'],
  shell: string | undefined,
): string {
  const restore = shell === undefined ? 'unset SHELL' : `SHELL=${shellWord(shell)}; export SHELL`;
  return [
    'echo $$ "$(tty)" >&3; exec 3>&-',
    `stty rows ${rows} cols ${columns} 2>/dev/null`,
    restore,
    `exec ${command.map(shellWord).join(' ')}`,
  ].join('; ');
}

/** `script` would report a missing program as an exit code. */
function checkProgram(program: string, path: string, workdir: string): void {
  const places = program.includes('/')
    ? [resolve(workdir, program)]
    : path.split(':').map((folder) => resolve(workdir, folder, program));
  let failure: unknown;
  for (const place of places) {
    try {
      accessSync(place, constants.X_OK);
      return;
    } catch (error) {
      failure ??= error;
    }
  }
  throw commandError(`${program} cannot be run`, failure);
}

/** Undefined when the program ended before it told. */
async function placeOf(more: Readable | undefined, child: ChildProcess): Promise<Place | undefined> {
  if (more === undefined) throw new TunlError('SANDBOX_COMMAND', {reason: 'There is no way to a terminal.'});
  more.on('error', () => {});
  const lines = createInterface({input: more});
  const line = await new Promise<string>((done) => {
    lines.once('line', done);
    lines.once('close', () => done(''));
    child.once('exit', () => done(''));
  });
  lines.close();
  more.destroy();
  const [, pid, path] = /^(\d+) (\/dev\/\S+)$/.exec(line) ?? [];
  return pid === undefined || path === undefined ? undefined : {pid: Number(pid), path};
}

/** One change at a time; of those that come meanwhile only the last counts. */
class TerminalSize {
  readonly #path: string | undefined;
  readonly #env: NodeJS.ProcessEnv;
  #next: readonly [columns: number, rows: number] | undefined;
  #busy = false;

  constructor(place: Place | undefined, env: NodeJS.ProcessEnv) {
    this.#path = place?.path;
    this.#env = env;
  }

  set(columns: number, rows: number): void {
    this.#next = [columns, rows];
    if (!this.#busy) this.#apply();
  }

  #apply(): void {
    const next = this.#next;
    this.#next = undefined;
    this.#busy = next !== undefined && this.#path !== undefined;
    if (next === undefined || this.#path === undefined) return;
    const [columns, rows] = next;
    const args = ['-F', this.#path, 'rows', String(rows), 'cols', String(columns)];
    execFile('stty', args, {env: this.#env}, () => this.#apply());
  }
}
