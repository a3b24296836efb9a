// A backend without isolation, for tests of everything around it: the command is a child of this process, and a port of the
// sandbox is one of this machine.
import {type ChildProcess, spawn} from 'node:child_process';
import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {join} from 'node:path';
import {type Duplex, PassThrough, Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {TunlError} from '../../src/lib/core/errors.js';
import type {
  BackendReport,
  CommandEnd,
  ExecRequest,
  ProcessEnd,
  SandboxBackend,
  SandboxHandle,
  SandboxProcess,
} from '../../src/lib/sandbox/backend.js';
import type {EgressRules, SandboxSpec} from '../../src/lib/sandbox/spec.js';

export class FakeBackend implements SandboxBackend {
  readonly name = 'bubblewrap';
  readonly handles: FakeHandle[] = [];
  /** Changes to the report of `probe`. */
  report: Partial<BackendReport> = {};
  /** Waited for before the command starts. */
  before: (signal?: AbortSignal) => Promise<void> = async () => {};
  lastSpec: SandboxSpec | undefined;

  async probe(): Promise<BackendReport> {
    const real = (what: string) => ({what, reality: 'real' as const});
    return {
      name: this.name,
      available: true,
      limits: {
        memoryBytes: real('memory'),
        cpus: real('cpu'),
        pids: real('pids'),
        diskBytes: real('disk'),
        openFiles: real('open files'),
      },
      egress: real('egress'),
      notes: [],
      ...this.report,
    };
  }

  async create(spec: SandboxSpec, signal?: AbortSignal): Promise<SandboxHandle> {
    this.lastSpec = spec;
    await this.before(signal);
    const handle = new FakeHandle(spec);
    this.handles.push(handle);
    await handle.spawned;
    return handle;
  }
}

export class FakeHandle implements SandboxHandle {
  readonly backend = 'bubblewrap';
  readonly unreal = [];
  readonly stdin;
  readonly stdout;
  readonly stderr;
  readonly spawned: Promise<void>;
  readonly ended: Promise<CommandEnd>;
  readonly signals: NodeJS.Signals[] = [];
  egress: EgressRules;
  destroyed = 0;
  readonly #spec: SandboxSpec;
  readonly #child: ChildProcess;
  readonly #children = new Set<ChildProcess>();
  readonly #end = Promise.withResolvers<CommandEnd>();
  #execs = 0;

  constructor(spec: SandboxSpec) {
    this.#spec = spec;
    this.egress = spec.egress;
    this.#child = this.#spawn(spec.command, {});
    const {stdin, stdout, stderr} = this.#child;
    if (stdin === null || stdout === null || stderr === null) throw new Error('no pipes');
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    stdin.on('error', () => {});
    this.spawned = new Promise((resolve, reject) => {
      this.#child.once('spawn', resolve);
      this.#child.once('error', (error) => reject(new TunlError('SANDBOX_COMMAND', {cause: error})));
    });
    this.ended = this.#end.promise;
    this.#child.once('error', () => this.lose('it did not start'));
    this.#child.once('exit', (code, signal) => this.#end.resolve({why: 'exited', ...endOf(code, signal)}));
  }

  /** The isolation program has died. */
  lose(detail = 'killed'): void {
    this.#end.resolve({why: 'lost', detail});
  }

  runOutOfMemory(): void {
    this.#end.resolve({why: 'oom'});
  }

  async dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    return await new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => socket.destroy(new Error('aborted')), {once: true});
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(socket);
      });
    });
  }

  async exec({command, env, timeoutMs}: ExecRequest): Promise<SandboxProcess> {
    this.#execs += 1;
    const child = this.#spawn(command, env ?? {});
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(new TunlError('SANDBOX_COMMAND', {cause: error})));
    });
    let timedOut = false;
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            kill(child, 'SIGKILL');
          }, timeoutMs);
    const exit = new Promise<ProcessEnd>((resolve) =>
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        resolve({...endOf(code, signal), ...(timedOut && {timedOut})});
      }),
    );
    return {
      id: `ex_${this.#execs}`,
      stdin: child.stdin ?? new PassThrough(),
      stdout: child.stdout ?? new PassThrough(),
      stderr: child.stderr ?? new PassThrough(),
      exit,
      signal: async (signal) => kill(child, signal),
      resize: () => {},
    };
  }

  readonly files = {
    read: async (path: string) => Readable.from([await readFile(this.#path(path))], {objectMode: false}),
    write: async (path: string, content: Readable, options: {mode?: number} = {}) =>
      await writeFile(this.#path(path), await buffer(content), options),
    list: async (path: string) => {
      const names = await readdir(this.#path(path));
      return await Promise.all(
        names.map(async (name) => {
          const {size, mode, mtimeMs} = await stat(join(this.#path(path), name));
          return {name, kind: 'file' as const, bytes: size, mode: mode & 0o777, modifiedAt: mtimeMs};
        }),
      );
    },
  };

  async stats(): Promise<{pids: number}> {
    return {pids: 1 + this.#children.size};
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    this.signals.push(signal);
    kill(this.#child, signal);
  }

  async setEgress(rules: EgressRules): Promise<void> {
    this.egress = rules;
  }

  async destroy(): Promise<void> {
    this.destroyed += 1;
    for (const child of [this.#child, ...this.#children]) kill(child, 'SIGKILL');
    await this.ended;
  }

  #path(path: string): string {
    return join(this.#spec.folder, path);
  }

  #spawn([program = '', ...args]: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const child = spawn(program, args, {
      cwd: this.#spec.folder,
      detached: true,
      env: {PATH: process.env.PATH, ...this.#spec.env, ...env},
      stdio: 'pipe',
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }
}

function endOf(code: number | null, signal: NodeJS.Signals | null): ProcessEnd {
  return {...(code !== null && {code}), ...(signal !== null && {signal})};
}

/** The process and its group. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
