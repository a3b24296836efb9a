// A sandbox of one process for tests, without isolation: commands are child processes, files are those of a folder.
import {type ChildProcess, spawn} from 'node:child_process';
import {createReadStream, createWriteStream} from 'node:fs';
import {mkdir, readdir, stat} from 'node:fs/promises';
import {connect} from 'node:net';
import {dirname, resolve} from 'node:path';
import type {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {systemCode, TunlError} from '../../src/lib/core/errors.js';
import type {ExecRequest, ProcessEnd, SandboxFiles, SandboxProcess} from '../../src/lib/sandbox/backend.js';
import type {LogPiece, SandboxEnd, SandboxInfo} from '../../src/lib/sandbox/control.js';
import type {ServedSandbox} from '../../src/lib/sandbox/control-server.js';
import type {EgressRules} from '../../src/lib/sandbox/spec.js';

export class FakeControl implements ServedSandbox {
  readonly id: string;
  readonly started = Promise.resolve();
  readonly ended: Promise<SandboxEnd>;
  readonly files: SandboxFiles;
  readonly rules: EgressRules[] = [];
  /** What `logs` gives. */
  readonly pieces: LogPiece[] = [];
  stopsAt: number | undefined = 1_000_000;
  readonly #end = Promise.withResolvers<SandboxEnd>();
  readonly #children = new Set<ChildProcess>();
  #count = 0;

  constructor(id: string, folder: string) {
    this.id = id;
    this.ended = this.#end.promise;
    this.files = filesOf(folder);
  }

  finish(end: SandboxEnd): void {
    for (const child of this.#children) child.kill('SIGKILL');
    this.#end.resolve(end);
  }

  async info(): Promise<SandboxInfo> {
    return {
      id: this.id,
      state: 'ready',
      backend: 'bubblewrap',
      command: ['sleep', '9'],
      createdAt: 1,
      ...(this.stopsAt !== undefined && {stopsAt: this.stopsAt}),
      tunnels: [],
      egress: this.rules.at(-1) ?? {kind: 'none'},
      unreal: [],
      pid: process.pid,
    };
  }

  async stats() {
    return {memoryBytes: 5};
  }

  async ready() {}

  async attach(): Promise<SandboxProcess> {
    throw new TunlError('SANDBOX_COMMAND');
  }

  async tunnels() {
    return [{port: 80, url: 'https://a.example.net'}];
  }

  async extend(ms: number) {
    if (ms === 0) throw new TunlError('OPTION_INVALID', {reason: 'no'});
    this.stopsAt = (this.stopsAt ?? 0) + ms;
    return this.stopsAt;
  }

  async setEgress(rules: EgressRules) {
    this.rules.push(rules);
  }

  async terminate() {
    this.finish({reason: 'terminated', code: 0});
    return await this.ended;
  }

  async *logs({follow = false}: {follow?: boolean} = {}) {
    yield* this.pieces;
    if (follow) await this.ended;
    if (follow) yield {from: 'stdout' as const, bytes: Buffer.from('last')};
  }

  async dial(port: number) {
    const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    await new Promise<void>((done, fail) => {
      socket.once('connect', done);
      socket.once('error', fail);
    });
    return socket;
  }

  async exec({command, env, timeoutMs}: ExecRequest): Promise<SandboxProcess> {
    const [program = '', ...args] = command;
    const child = spawn(program, args, {env: {PATH: process.env.PATH, ...env}, stdio: 'pipe'});
    await new Promise<void>((done, fail) => {
      child.once('spawn', done);
      child.once('error', (cause) => fail(new TunlError('SANDBOX_COMMAND', {cause})));
    });
    this.#children.add(child);
    let timedOut = false;
    const timer =
      timeoutMs &&
      setTimeout(() => {
        timedOut = true;
        child.kill('SIGKILL');
      }, timeoutMs);
    const exit = new Promise<ProcessEnd>((done, fail) => {
      child.once('close', (code, signal) => {
        if (timer) clearTimeout(timer);
        this.#children.delete(child);
        done({...(signal === null ? {code: code ?? 0} : {signal}), ...(timedOut && {timedOut})});
      });
      void this.ended.then(() => fail(new TunlError('SANDBOX_ENDED')));
    });
    exit.catch(() => {});
    this.#count += 1;
    return {
      id: `ex_${this.#count}`,
      stdin: child.stdin,
      stdout: child.stdout,
      stderr: child.stderr,
      exit,
      signal: async (signal) => void child.kill(signal),
      resize: () => {},
    };
  }
}

function filesOf(folder: string): SandboxFiles {
  const at = (path: string) => resolve(folder, `./${path}`);
  return {
    async read(path) {
      const stream = createReadStream(at(path));
      await new Promise<void>((done, fail) => stream.once('open', () => done()).once('error', fail)).catch(
        fileError,
      );
      return stream;
    },
    async write(path: string, content: Readable, {mode = 0o644} = {}) {
      await mkdir(dirname(at(path)), {recursive: true});
      await pipeline(content, createWriteStream(at(path), {mode})).catch(fileError);
    },
    async list(path) {
      const names = await readdir(at(path)).catch(fileError);
      return await Promise.all(
        names.map(async (name) => {
          const found = await stat(at(`${path}/${name}`));
          const kind = found.isDirectory() ? ('folder' as const) : ('file' as const);
          return {
            name,
            kind,
            bytes: found.size,
            mode: found.mode & 0o7777,
            modifiedAt: Math.round(found.mtimeMs),
          };
        }),
      );
    },
  };
}

function fileError(cause: unknown): never {
  throw new TunlError('SANDBOX_FILE', {reason: systemCode(cause), cause});
}
