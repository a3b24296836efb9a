// A program in a separate process, whose output is read line by line. It ends with the scope and must leave no process
// behind.
import {type ChildProcess, spawn} from 'node:child_process';
import {readdirSync, readFileSync} from 'node:fs';
import type {Readable, Writable} from 'node:stream';
import {fileURLToPath} from 'node:url';
import type {Scope} from './scope.js';

export interface ChildOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Run inside this network namespace. */
  namespace?: string;
  /** Leave stdin open for the test to write to. Default: no stdin. */
  stdin?: boolean;
  /** Sent at the end of the scope. Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** A name for the messages of failures. */
  name?: string;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** How long a stopped program may take before it is killed and the test fails. */
const stopTimeoutMs = 15_000;

/** How long processes that the program started may take to notice its end: on a busy machine some have not run yet. */
const leftTimeoutMs = 5_000;

export class Child implements AsyncDisposable {
  readonly name: string;
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  readonly #stopSignal: NodeJS.Signals;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #partial = '';
  #exit: Exit | undefined;

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.name = options.name ?? [command.split('/').at(-1), ...args].join(' ');
    this.#stopSignal = options.stopSignal ?? 'SIGTERM';
    const [program, words] =
      options.namespace === undefined
        ? [command, args]
        : ['ip', ['netns', 'exec', options.namespace, command, ...args]];
    // A separate process group, so that all its processes can be found and ended.
    this.#process = spawn(program, words, {
      ...(options.cwd !== undefined && {cwd: options.cwd}),
      env: {...cleanEnv(), ...options.env},
      stdio: [options.stdin === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      const lines = (this.#partial + text).split('\n');
      this.#partial = lines.pop() ?? '';
      this.#lines.push(...lines);
      this.#notify();
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#notify();
    });
    this.exited = new Promise((resolve, reject) => {
      this.#process.once('error', reject);
      // `close` comes after the last output.
      this.#process.once('close', (code, signal) => {
        this.#exit = {code, signal};
        this.#notify();
        resolve(this.#exit);
      });
    });
    this.exited.catch(() => {});
  }

  static start(scope: Scope, command: string, args: readonly string[], options: ChildOptions = {}): Child {
    return scope.own(new Child(command, args, options));
  }

  get pid(): number {
    const {pid} = this.#process;
    if (pid === undefined) throw new Error(`${this.name} was not started`);
    return pid;
  }

  get stdin(): Writable {
    const {stdin} = this.#process;
    if (stdin === null) throw new Error('started without stdin');
    return stdin;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The complete lines of stdout so far. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Stops reading stderr, like a pager or a script that does not read it; the returned function resumes. */
  holdStderr(): () => void {
    return held(this.#process.stderr);
  }

  /** The same for stdout. Right after the start it holds everything. */
  holdStdout(): () => void {
    return held(this.#process.stdout);
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** The first line of stdout for which `wanted` holds, now or later. */
  async line(wanted: (line: string) => boolean = () => true): Promise<string> {
    return this.#find('a line on stdout', () => this.#lines.find(wanted));
  }

  /** Resolves when stderr matches. */
  async saidOnStderr(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#find(`${pattern} on stderr`, () => pattern.exec(this.#stderr) ?? undefined);
  }

  /** Resolves when the program ends by itself, with any exit code. */
  async finished(): Promise<Exit & {stdout: string; stderr: string}> {
    const exit = await this.exited;
    return {...exit, stdout: this.#stdout, stderr: this.#stderr};
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Sends the signal like a terminal: to the program and to everything that it started. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }

  /** Asks the program to end and resolves with its exit. Idempotent. */
  async stop(signal: NodeJS.Signals = this.#stopSignal): Promise<Exit> {
    if (this.#exit === undefined && this.#process.pid !== undefined) this.signal(signal);
    return this.exited;
  }

  /** The peak memory of the process, from the kernel. */
  peakRssBytes(): number {
    return memoryOf(this.pid, 'VmHWM');
  }

  rssBytes(): number {
    return memoryOf(this.pid, 'VmRSS');
  }

  /** User and system time of the process so far, ms: the kernel counts in hundredths of a second. */
  cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.pid === undefined) return;
    const {pid} = this.#process;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      killGroup(pid);
    }, stopTimeoutMs);
    await this.stop();
    clearTimeout(timer);
    const left = await groupAfter(pid);
    if (left.length > 0) killGroup(pid);
    if (late)
      throw new Error(
        `${this.name} did not end ${stopTimeoutMs} ms after ${this.#stopSignal}\n${this.#said()}`,
      );
    if (left.length > 0) throw new Error(`${this.name} left processes running: ${left.join(', ')}`);
  }

  #find<T>(what: string, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = look();
        if (found === undefined && this.#exit === undefined) return;
        this.#listeners.delete(check);
        if (found !== undefined) resolve(found);
        else
          reject(
            new Error(`${this.name} ended (${JSON.stringify(this.#exit)}) before ${what}\n${this.#said()}`),
          );
      };
      this.#listeners.add(check);
      this.exited.catch(reject);
      check();
    });
  }

  #notify(): void {
    for (const check of [...this.#listeners]) check();
  }

  #said(): string {
    return `stdout: ${this.#stdout.slice(-2000)}\nstderr: ${this.#stderr.slice(-4000)}`;
  }
}

/** Runs a program to its end and returns its output. */
export async function run(
  scope: Scope,
  command: string,
  args: readonly string[],
  options: ChildOptions & {input?: string} = {},
): Promise<Exit & {stdout: string; stderr: string}> {
  const child = Child.start(scope, command, args, {...options, stdin: options.input !== undefined});
  if (options.input !== undefined) child.stdin.end(options.input);
  return child.finished();
}

/** An environment without the tester's settings; the Node that runs the tests comes first. */
export function cleanEnv(): Record<string, string> {
  const nodeFolder = process.execPath.slice(0, process.execPath.lastIndexOf('/'));
  return {
    PATH: `${nodeFolder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    LANG: 'C.UTF-8',
    HOME: '/nonexistent',
    // In a home of its own each start of tunl would compile everything, and leave files.
    NODE_COMPILE_CACHE: fileURLToPath(new URL('../../.cache/compiled', import.meta.url)),
  };
}

export function memoryOf(pid: number, field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (line?.[1] === undefined) throw new Error(`no ${field} of process ${pid}`);
  return Number(line[1]) * 1024;
}

/** Processes of the group that are alive: zombies do not count. */
function aliveInGroup(group: number): string[] {
  const found: string[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
      const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(pgrp) === group && state !== 'Z' && state !== 'X') found.push(`${entry} ${name}`);
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

async function groupAfter(group: number): Promise<string[]> {
  const deadline = performance.now() + leftTimeoutMs;
  for (;;) {
    const left = aliveInGroup(group);
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function held(output: Readable | null): () => void {
  output?.pause();
  return () => void output?.resume();
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // The group is empty.
  }
}
