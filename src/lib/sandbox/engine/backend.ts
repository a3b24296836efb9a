// Sandboxes in containers of podman or docker, through the engine's API socket. The container's first process is the project's own
// init, run by the host's node: commands, ports and files are its work, so any image will do, and nothing of the host listens.

import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {TunlError, toTunlError} from '../../core/errors.js';
import {printable} from '../../core/one-line.js';
import {isProcessRecord} from '../../core/process-life.js';
import {lifeOf, thisProcess} from '../../launch/process-record.js';
import type {BackendReport, SandboxBackend, SandboxHandle} from '../backend.js';
import {unrealLimits, withoutLimits} from '../limits/choose-limits.js';
import type {SandboxLimits, SandboxSpec} from '../spec.js';
import {type Engine, isStatus} from './engine.js';
import {type EngineFacts, readRuntimes, specialRuntime} from './facts.js';
import type {EngineKind} from './find-socket.js';
import {hostNode} from './host-node.js';
import {limitFindings} from './limits.js';
import {checkedMounts, outsideUser} from './mounts.js';
import {resolverMount} from './network.js';
import {type Lease, OpenEngine} from './open-engine.js';
import {commandDefaults, type ImageFacts, type OwnLimits, planContainer} from './plan.js';
import {probeEngine} from './probe.js';
import {seccompProfile} from './seccomp-profile.js';
import {startContainer} from './start.js';

export interface EngineBackendOptions {
  /** Instead of looking for a socket: this one. */
  socketPath?: string | undefined;
  env?: Readonly<NodeJS.ProcessEnv>;
}

/** The id of the sandbox, and the process that owns it. */
export const LABEL = {sandbox: 'tunl.sandbox', process: 'tunl.process'} as const;

const IMAGE_NAME = /^[a-z\d]+([a-z\d._:/-]*[a-z\d])?(:[\w.-]{1,128})?(@sha256:[a-f\d]{64})?$/;

/** The init has to live in it. */
const LEAST_MEMORY_BYTES = 64 * 1024 * 1024;
const LEAST_OPEN_FILES = 64;

interface Means {
  readonly lease: Lease;
  readonly facts: EngineFacts;
  readonly signal: AbortSignal | undefined;
}

export class EngineBackend implements SandboxBackend {
  readonly name: EngineKind;
  readonly #open: OpenEngine;

  constructor(kind: EngineKind = 'podman', {socketPath, env = process.env}: EngineBackendOptions = {}) {
    this.name = kind;
    this.#open = new OpenEngine(kind, {socketPath, env});
  }

  async probe(): Promise<BackendReport> {
    return probeEngine(this.name, this.#open);
  }

  async create(spec: SandboxSpec, signal?: AbortSignal): Promise<SandboxHandle> {
    if (spec.image === undefined)
      throw new TunlError('SANDBOX_IMAGE', {
        reason: `A sandbox of ${this.name} needs an image.`,
        next: 'Name one that is on this machine, such as --image python:3.13-slim.',
      });
    const {lease, facts} = await this.#lease(spec);
    try {
      return await this.#create(spec, {lease, facts, signal});
    } catch (error) {
      await lease.release();
      signal?.throwIfAborted();
      throw toTunlError(error, 'SANDBOX_FAILED');
    }
  }

  /** The engine with the OCI runtime of this sandbox. */
  async #lease(spec: SandboxSpec): Promise<{lease: Lease; facts: EngineFacts}> {
    const lease = await this.#open.use();
    try {
      const facts = await lease.engine.facts();
      if (spec.runtime !== undefined) await checkRuntime(spec.runtime, lease.engine);
      const runtime = specialRuntime(facts, spec.runtime);
      if (runtime === undefined) return {lease, facts};
      const special = await this.#open.use(runtime);
      await lease.release();
      return {lease: special, facts};
    } catch (error) {
      await lease.release();
      throw toTunlError(error, 'SANDBOX_BACKEND');
    }
  }

  async #create(asked: SandboxSpec, {lease, facts, signal}: Means): Promise<SandboxHandle> {
    const {engine} = lease;
    checkSizes(asked.limits, this.name);
    const unreal = unrealLimits(asked.limits, limitFindings(facts), asked.bestEffort);
    const uid = process.getuid?.() ?? 0;
    const mounts = checkedMounts(asked.mounts);
    const spec = {...asked, mounts, limits: withoutLimits(asked.limits, unreal)};
    const [image, node, own, record, seccompFile, resolver] = await Promise.all([
      findImage(engine, String(spec.image), signal),
      hostNode(),
      ownLimits(),
      thisProcess(),
      writeSeccompFile(spec.folder),
      resolverMount(spec.folder),
    ]);
    const plan = planContainer({
      spec,
      image,
      facts,
      node: {...node, mounts: [...node.mounts, resolver]},
      own,
      labels: {...spec.labels, [LABEL.sandbox]: spec.id, [LABEL.process]: JSON.stringify(record)},
      outside: outsideUser(spec.hostUid, mounts, uid),
      uid,
      gid: process.getgid?.() ?? 0,
      seccompFile,
    });
    return startContainer({
      lease,
      plan,
      defaults: commandDefaults(spec, image),
      command: spec.command,
      unreal,
      egress: spec.egress,
      onRefused: spec.onRefused,
      signal,
    });
  }

  /** Removes the containers whose owner has died. Those of processes in other systems are left alone. */
  async sweep(isAlive: (sandboxId: string) => Promise<boolean>): Promise<void> {
    const lease = await this.#open.use().catch(() => undefined);
    if (lease === undefined) return;
    try {
      for (const {id, labels} of await lease.engine.list(LABEL.sandbox)) {
        if (!(await isOwnerDead(labels[LABEL.process]))) continue;
        if (!(await isAlive(labels[LABEL.sandbox] ?? ''))) await lease.engine.remove(id).catch(() => {});
      }
    } finally {
      await lease.release();
    }
  }
}

async function writeSeccompFile(folder: string): Promise<string> {
  const file = join(folder, 'seccomp.json');
  await writeFile(file, JSON.stringify(seccompProfile()), {mode: 0o600});
  return file;
}

async function findImage(engine: Engine, name: string, signal?: AbortSignal): Promise<ImageFacts> {
  try {
    if (IMAGE_NAME.test(name)) return await engine.image(name, signal);
    throw new TunlError('SANDBOX_IMAGE', {
      reason: `${printable(name)} is no name of an image.`,
      next: 'Write it like python:3.13-slim.',
    });
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
    throw new TunlError('SANDBOX_IMAGE', {
      reason: `${engine.kind} has no image ${printable(name)} on this machine.`,
      next: `Run \`${engine.kind} pull ${printable(name)}\`, or check the name.`,
    });
  }
}

function checkSizes({memoryBytes, openFiles}: SandboxLimits, name: string): void {
  if (memoryBytes !== undefined && memoryBytes < LEAST_MEMORY_BYTES)
    throw new TunlError('OPTION_INVALID', {reason: `A sandbox of ${name} needs 64 MiB of memory at least.`});
  if (openFiles !== undefined && openFiles < LEAST_OPEN_FILES)
    throw new TunlError('OPTION_INVALID', {reason: `A sandbox of ${name} needs 64 open files at least.`});
}

async function checkRuntime(runtime: string, {api, kind}: Engine): Promise<void> {
  const runtimes = await readRuntimes(api, kind);
  if (runtimes.includes(runtime)) return;
  throw new TunlError('SANDBOX_BACKEND', {
    reason: `${kind} has no runtime ${printable(runtime)} here. It has: ${runtimes.join(', ') || 'none'}.`,
    next: `Install it, and name it in the configuration of ${kind}.`,
  });
}

async function ownLimits(): Promise<OwnLimits> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const hard = (name: string) => {
    const value = new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, 'm').exec(text)?.[1];
    return value === undefined || value === 'unlimited' ? 1_048_576 : Number(value);
  };
  return {openFiles: hard('Max open files'), processes: hard('Max processes')};
}

async function isOwnerDead(label: string | undefined): Promise<boolean> {
  try {
    const record: unknown = JSON.parse(label ?? '');
    return isProcessRecord(record) && (await lifeOf(record, Date.now())) === 'ended';
  } catch {
    return false;
  }
}
