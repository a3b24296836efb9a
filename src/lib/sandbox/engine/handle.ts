// One sandbox in a container: the engine holds it, the init inside does the rest.

import {setTimeout as wait} from 'node:timers/promises';
import {printable} from '../../core/one-line.js';
import type {
  BackendName,
  CommandEnd,
  ExecRequest,
  ProcessEnd,
  SandboxHandle,
  SandboxProcess,
  SandboxStats,
} from '../backend.js';
import type {InitClient} from '../init/init-client.js';
import {InitHandle} from '../init/init-handle.js';
import type {EgressRules, SandboxLimits} from '../spec.js';
import type {Attached} from './attached.js';
import type {ContainerState, Engine} from './engine.js';
import {hasKilled} from './oom.js';
import type {CommandDefaults} from './plan.js';
import {RelativeFiles} from './relative-files.js';

export interface HandleParts {
  readonly engine: Engine;
  readonly containerId: string;
  readonly attached: Attached;
  readonly init: InitClient;
  readonly main: SandboxProcess;
  readonly defaults: CommandDefaults;
  readonly unreal: readonly (keyof SandboxLimits)[];
  /** Where the kernel counts processes that it killed for want of memory. */
  readonly oomFiles: readonly string[];
  /** @throws TunlError SANDBOX_EGRESS */
  readonly setEgress: (rules: EgressRules) => Promise<void>;
  /** Removes the container and what else belongs to it. It is called once. */
  readonly remove: () => Promise<void>;
}

/** After the end of the connection: how often the engine is asked for the container's end, and how long it may take in all. */
const ASK_TIMES = 8;
const ASK_EVERY_MS = 100;

export class EngineHandle extends InitHandle implements SandboxHandle {
  readonly backend: BackendName;
  readonly unreal: readonly (keyof SandboxLimits)[];
  readonly ended: Promise<CommandEnd>;
  readonly files: RelativeFiles;
  readonly #parts: HandleParts;
  #destroyed: Promise<void> | undefined;

  constructor(parts: HandleParts) {
    super(parts);
    this.#parts = parts;
    this.backend = parts.engine.kind;
    this.unreal = parts.unreal;
    this.files = new RelativeFiles(parts.init.files, parts.defaults.workdir);
    this.ended = this.#watch();
  }

  exec(request: ExecRequest): Promise<SandboxProcess> {
    const {init, defaults} = this.#parts;
    return init.exec(withDefaults(request, defaults));
  }

  stats(): Promise<SandboxStats> {
    return this.#parts.engine.usage(this.#parts.containerId);
  }

  signal(signal: NodeJS.Signals): Promise<void> {
    return this.#parts.main.signal(signal);
  }

  setEgress(rules: EgressRules): Promise<void> {
    return this.#parts.setEgress(rules);
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#parts.remove();
    return this.#destroyed;
  }

  async #watch(): Promise<CommandEnd> {
    const {main, init} = this.#parts;
    const end = await main.exit.then(
      (exit) => exit,
      () => undefined,
    );
    if (end !== undefined) return (await this.#wasOutOfMemory(end)) ? {why: 'oom'} : {why: 'exited', ...end};
    const reason = await init.lost;
    if (this.#destroyed !== undefined) return {why: 'exited', signal: 'SIGKILL'};
    return this.#howLost(reason);
  }

  async #wasOutOfMemory(end: ProcessEnd): Promise<boolean> {
    // A shell tells the death of its child by this code.
    const wasKilled = end.signal === 'SIGKILL' || end.code === 137;
    if (!wasKilled || end.timedOut) return false;
    if (await hasKilled(this.#parts.oomFiles)) return true;
    const state = await this.#state();
    return state instanceof Error ? false : state.wasOutOfMemory;
  }

  /** The connection has ended. The engine knows more, unless it is gone itself. */
  async #howLost(reason: string): Promise<CommandEnd> {
    if (await hasKilled(this.#parts.oomFiles)) return {why: 'oom'};
    const words = this.#parts.attached.lastWords.split('\n').at(-1) ?? '';
    for (let asked = 0; asked < ASK_TIMES; asked += 1) {
      const state = await this.#state();
      if (state instanceof Error)
        return {why: 'lost', detail: `${this.backend} does not answer: ${printable(state.message)}`};
      if (state.wasOutOfMemory) return {why: 'oom'};
      if (!state.isRunning) {
        const said = words === '' ? '' : `: ${printable(words)}`;
        return {why: 'lost', detail: `the sandbox’s init ended with ${state.exitCode}${said}`};
      }
      await wait(ASK_EVERY_MS);
    }
    return {why: 'lost', detail: `the connection to the sandbox’s init is lost: ${printable(reason)}`};
  }

  #state(): Promise<ContainerState | Error> {
    return this.#parts.engine.state(this.#parts.containerId).catch((error: Error) => error);
  }
}

export function withDefaults(request: ExecRequest, defaults: CommandDefaults): ExecRequest {
  return {
    ...request,
    env: {...defaults.env, ...request.env},
    workdir: request.workdir ?? defaults.workdir,
  };
}
