// Sandboxes for tests, owned by a process of their own; see sandbox-driver.js.

import {fileURLToPath} from 'node:url';
import type {
  BackendReport,
  CommandEnd,
  ExecRequest,
  ProcessEnd,
  SandboxStats,
} from '../../src/lib/sandbox/backend.js';
import {newSandboxId} from '../../src/lib/sandbox/ids.js';
import type {EgressRules, SandboxSpec} from '../../src/lib/sandbox/spec.js';
import {Child} from './child.js';
import type {Scope} from './scope.js';

export interface DriverOptions {
  /** Below dist/, and the name of the backend's class in it. */
  readonly module: string;
  readonly name: string;
  /** Words before node: who runs it. */
  readonly as?: readonly string[] | undefined;
  readonly env?: Record<string, string> | undefined;
}

export const BUBBLEWRAP = {module: 'lib/sandbox/bubblewrap/backend.js', name: 'BubblewrapBackend'} as const;

export type Ran = ProcessEnd & {readonly stdout: string; readonly stderr: string};
export type Ended = CommandEnd & {
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: number;
  /** Of the process that owns the sandbox. */
  readonly peakRssBytes: number;
};

/** What a create needs; the rest is the driver's. */
export type BoxSpec = Partial<SandboxSpec> & Pick<SandboxSpec, 'command'>;

/** The driver's answer to a request that failed. */
export class Refused extends Error {
  readonly code: string;
  readonly next: string | undefined;

  constructor({code, message, next}: {code: string; message: string; next?: string}) {
    super(message);
    this.code = code;
    this.next = next;
  }
}

export class SandboxDriver {
  readonly child: Child;
  #count = 0;

  constructor(scope: Scope, {module, name, as = [], env}: DriverOptions) {
    const file = fileURLToPath(new URL('sandbox-driver.js', import.meta.url));
    const [program = '', ...words] = [...as, process.execPath, file, module, name];
    this.child = Child.start(scope, program, words, {stdin: true, ...(env !== undefined && {env})});
    scope.onEnd(async () => {
      this.child.stdin.end();
      await this.child.exited;
    });
  }

  async ask<T>(ask: string, rest: object = {}): Promise<T> {
    this.#count += 1;
    const id = this.#count;
    this.child.stdin.write(`${JSON.stringify({id, ask, ...rest})}\n`);
    const line = await this.child.line((text) => text.startsWith(`{"id":${id},`));
    const {value, error} = JSON.parse(line);
    if (error !== undefined) throw new Refused(error);
    return value;
  }

  probe(): Promise<{report: BackendReport; ms: number}> {
    return this.ask('probe');
  }

  async create(spec: BoxSpec): Promise<Box> {
    const id = spec.id ?? newSandboxId();
    const {box, unreal} = await this.ask<{box: number; unreal: string[]}>('create', {spec: {id, ...spec}});
    return new Box(this, box, id, unreal);
  }
}

export class Box {
  readonly id: string;
  readonly unreal: readonly string[];
  readonly #driver: SandboxDriver;
  readonly #box: number;

  constructor(driver: SandboxDriver, box: number, id: string, unreal: readonly string[]) {
    this.#driver = driver;
    this.#box = box;
    this.id = id;
    this.unreal = unreal;
  }

  run(command: readonly string[], request: Partial<ExecRequest> = {}, stdin = ''): Promise<Ran> {
    return this.#ask('run', {request: {command, ...request}, stdin});
  }

  sh(script: string): Promise<Ran> {
    return this.run(['sh', '-c', script]);
  }

  ended(): Promise<Ended> {
    return this.#ask('ended');
  }

  dial(port: number): Promise<string> {
    return this.#ask('dial', {port});
  }

  read(path: string): Promise<string> {
    return this.#ask('read', {path});
  }

  write(path: string, text: string): Promise<void> {
    return this.#ask('write', {path, text});
  }

  stats(): Promise<SandboxStats> {
    return this.#ask('stats');
  }

  signal(signal: NodeJS.Signals): Promise<void> {
    return this.#ask('signal', {signal});
  }

  setEgress(rules: EgressRules): Promise<void> {
    return this.#ask('setEgress', {rules});
  }

  destroy(): Promise<void> {
    return this.#ask('destroy');
  }

  #ask<T>(ask: string, rest: object = {}): Promise<T> {
    return this.#driver.ask(ask, {box: this.#box, ...rest});
  }
}
