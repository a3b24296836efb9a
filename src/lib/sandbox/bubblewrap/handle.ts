// A running sandbox of bubblewrap: the init does the work, this joins it with the limits and the end.

import type {
  CommandEnd,
  ExecRequest,
  ProcessEnd,
  SandboxFiles,
  SandboxHandle,
  SandboxProcess,
  SandboxStats,
} from '../backend.js';
import type {InitClient} from '../init/init-client.js';
import {InitHandle} from '../init/init-handle.js';
import type {ControlGroup} from '../limits/control-group.js';
import {statsOfTree} from '../limits/process-tree.js';
import type {EgressRules, SandboxSpec} from '../spec.js';
import type {Launched} from './launch.js';
import type {SandboxNetwork} from './network.js';

export interface RunningParts {
  readonly spec: SandboxSpec;
  readonly launched: Launched;
  readonly init: InitClient;
  readonly main: SandboxProcess;
  readonly group: ControlGroup | undefined;
  readonly network: SandboxNetwork;
  readonly unreal: SandboxHandle['unreal'];
  /** Gives back what was taken for it: the user id. */
  release(): void;
}

export class BubblewrapHandle extends InitHandle implements SandboxHandle {
  readonly backend = 'bubblewrap';
  readonly unreal: SandboxHandle['unreal'];
  readonly ended: Promise<CommandEnd>;
  readonly #parts: RunningParts;
  #destroyed: Promise<void> | undefined;
  /** Those that are known to have hit others than the command. */
  #oomKills = 0;

  constructor(parts: RunningParts) {
    super(parts);
    this.#parts = parts;
    this.unreal = parts.unreal;
    this.ended = this.#watch();
  }

  get files(): SandboxFiles {
    return this.#parts.init.files;
  }

  /** The sandbox's own environment is in it, because the init does not have it. */
  async exec(request: ExecRequest): Promise<SandboxProcess> {
    const child = await this.#parts.init.exec(withSpec(request, this.#parts.spec));
    // A kill for want of memory that hits another process is not the end of the command.
    child.exit.then(
      async () => {
        this.#oomKills = await this.#countOomKills();
      },
      () => {},
    );
    return child;
  }

  async stats(): Promise<SandboxStats> {
    const {group, launched} = this.#parts;
    const counted = await group?.stats();
    if (counted?.memoryBytes !== undefined && counted.cpuMs !== undefined && counted.pids !== undefined)
      return counted;
    const seen = await statsOfTree(launched.pid);
    return {
      memoryBytes: counted?.memoryBytes ?? seen.memoryBytes,
      cpuMs: counted?.cpuMs ?? seen.cpuMs,
      pids: counted?.pids ?? seen.pids,
    };
  }

  signal(signal: NodeJS.Signals): Promise<void> {
    return this.#parts.main.signal(signal);
  }

  setEgress(rules: EgressRules): Promise<void> {
    return this.#parts.network.setRules(rules);
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  async #destroy(): Promise<void> {
    const {launched, init, group, network, release} = this.#parts;
    launched.kill();
    init.close();
    await launched.ended;
    await network.close();
    await group?.destroy();
    release();
  }

  async #countOomKills(): Promise<number> {
    return (await this.#parts.group?.oomKills()) ?? 0;
  }

  async #watch(): Promise<CommandEnd> {
    const {main, init, launched} = this.#parts;
    const end = await main.exit.catch(() => undefined);
    if (end !== undefined && end.signal !== 'SIGKILL') return {why: 'exited', ...end};
    // The kernel tells of the kill before its victim has ended.
    if (this.#destroyed === undefined && (await this.#countOomKills()) > this.#oomKills) return {why: 'oom'};
    if (end !== undefined) return {why: 'exited', ...(end satisfies ProcessEnd)};
    const reason = await init.lost;
    const said = launched.said().trim().split('\n').at(-1) ?? '';
    return {why: 'lost', detail: said === '' ? reason : `${reason}: ${said}`};
  }
}

export function withSpec(request: ExecRequest, {env, workdir}: SandboxSpec): ExecRequest {
  const folder = request.workdir ?? workdir;
  return {...request, env: {...env, ...request.env}, ...(folder !== undefined && {workdir: folder})};
}
