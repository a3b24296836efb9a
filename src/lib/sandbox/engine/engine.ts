// The containers of one engine: the calls of its API that a sandbox needs. Podman and docker share all of them but `create`.

import {type EngineApi, EngineError, fields, listOf, textOf, textsOf} from './api.js';
import {Attached} from './attached.js';
import {dockerContainer} from './docker-container.js';
import {DOCKER, type EngineFacts, LIBPOD, readFacts} from './facts.js';
import {type EngineKind, kindOf} from './find-socket.js';
import type {ContainerPlan, ImageFacts} from './plan.js';
import {podmanContainer} from './podman-container.js';
import {seccompProfile} from './seccomp-profile.js';

export interface ContainerState {
  readonly isRunning: boolean;
  /** The init's pid on the host; 0 when it does not run. */
  readonly pid: number;
  readonly exitCode: number;
  readonly wasOutOfMemory: boolean;
}

export interface ListedContainer {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ContainerUsage {
  readonly memoryBytes?: number | undefined;
  readonly cpuMs?: number | undefined;
  readonly pids?: number | undefined;
}

/** The first use of an image with other user ids may copy it. */
const CREATE_MS = 300_000;

export class Engine {
  readonly kind: EngineKind;
  readonly api: EngineApi;
  #facts: Promise<EngineFacts> | undefined;

  constructor(kind: EngineKind, api: EngineApi) {
    this.kind = kind;
    this.api = api;
  }

  facts(): Promise<EngineFacts> {
    this.#facts ??= readFacts(this.api, this.kind);
    this.#facts.catch(() => {
      this.#facts = undefined;
    });
    return this.#facts;
  }

  /** @throws EngineError 404 when it is not on this machine */
  async image(name: string, signal?: AbortSignal): Promise<ImageFacts> {
    const {body} = await this.api.ask('GET', `${DOCKER}/images/${encodeURIComponent(name)}/json`, {signal});
    const image = fields(body);
    const config = fields(image.Config);
    return {
      id: textOf(image.Id),
      env: Object.fromEntries(listOf(config.Env).map((line) => splitVariable(textOf(line)))),
      user: textOf(config.User),
      workdir: textOf(config.WorkingDir),
      volumes: Object.keys(fields(config.Volumes)),
    };
  }

  /** Resolves to the container's id. */
  async create(plan: ContainerPlan, signal?: AbortSignal): Promise<string> {
    const options = {timeoutMs: CREATE_MS, signal};
    const {body} =
      this.kind === 'podman'
        ? await this.api.ask('POST', `${LIBPOD}/containers/create`, {...options, body: podmanContainer(plan)})
        : await this.api.ask('POST', `${DOCKER}/containers/create?name=${encodeURIComponent(plan.name)}`, {
            ...options,
            body: dockerContainer(plan, await this.#seccompOption(plan)),
          });
    return textOf(fields(body).Id);
  }

  async #seccompOption({seccompFile}: ContainerPlan): Promise<string> {
    return (await kindOf(this.api)) === 'podman' ? seccompFile : JSON.stringify(seccompProfile());
  }

  /** Before `start`, so that nothing is missed. */
  async attach(id: string, signal?: AbortSignal): Promise<Attached> {
    const query = 'stream=1&stdin=1&stdout=1&stderr=1';
    return new Attached(await this.api.upgrade(`${DOCKER}/containers/${id}/attach?${query}`, signal));
  }

  async start(id: string, signal?: AbortSignal): Promise<void> {
    await this.api.ask('POST', `${DOCKER}/containers/${id}/start`, {signal});
  }

  async state(id: string): Promise<ContainerState> {
    const {body} = await this.api.ask('GET', `${DOCKER}/containers/${id}/json`);
    const state = fields(fields(body).State);
    return {
      isRunning: state.Running === true,
      pid: Number(state.Pid) || 0,
      exitCode: Number(state.ExitCode) || 0,
      wasOutOfMemory: state.OOMKilled === true,
    };
  }

  async usage(id: string): Promise<ContainerUsage> {
    const {body} = await this.api.ask('GET', `${DOCKER}/containers/${id}/stats?stream=false&one-shot=true`);
    const {memory_stats, cpu_stats, pids_stats} = fields(body);
    const cpuNs = number(fields(fields(cpu_stats).cpu_usage).total_usage);
    return {
      memoryBytes: number(fields(memory_stats).usage),
      cpuMs: cpuNs === undefined ? undefined : Math.round(cpuNs / 1e6),
      pids: number(fields(pids_stats).current),
    };
  }

  /** Kills everything in it and removes it with what it wrote. Resolves to false when there is none. @param container its id or name */
  async remove(container: string): Promise<boolean> {
    // Its stop signal is KILL, so it does not wait.
    return await this.api.ask('DELETE', `${DOCKER}/containers/${container}?force=true&v=true`).then(
      () => true,
      (error: unknown) => {
        if (!isStatus(error, 404)) throw error;
        return false;
      },
    );
  }

  /** All containers with this label, running or not. */
  async list(label: string): Promise<readonly ListedContainer[]> {
    const filters = encodeURIComponent(JSON.stringify({label: [label]}));
    const {body} = await this.api.ask('GET', `${DOCKER}/containers/json?all=true&filters=${filters}`);
    return listOf(body).map((container) => {
      const {Id, Labels} = fields(container);
      return {id: textOf(Id), labels: textsOf(Labels)};
    });
  }
}

export function isStatus(error: unknown, status: number): boolean {
  return error instanceof EngineError && error.status === status;
}

function splitVariable(line: string): [string, string] {
  const at = line.indexOf('=');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
