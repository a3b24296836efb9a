// The facts of an engine about itself and this machine, in one form for both kinds.

import {access, readFile} from 'node:fs/promises';
import {which} from '../../launch/find.js';
import {type EngineApi, fields, listOf, textOf, textsOf} from './api.js';
import type {EngineKind} from './find-socket.js';

/** Podman 4 and later answer to it. */
export const LIBPOD = '/v4.0.0/libpod';
/** Docker 20.10 and later, and podman 4, answer to it. */
export const DOCKER = '/v1.41';

export interface EngineFacts {
  readonly kind: EngineKind;
  readonly version: string;
  /** The engine itself runs as an ordinary user. */
  readonly isRootless: boolean;
  /** Docker's `userns-remap`. */
  readonly hasMappedUsers: boolean;
  readonly cgroupVersion: string;
  /** The limits that the engine's control groups can hold. */
  readonly holds: {readonly memoryBytes: boolean; readonly cpus: boolean; readonly pids: boolean};
  /** The runtime for a sandbox that asks for none; undefined: the engine's own choice is good. */
  readonly runtime: string | undefined;
  readonly defaultRuntime: string;
  /** How many user ids a container of a rootless engine has. */
  readonly userIds: number;
}

export async function readFacts(api: EngineApi, kind: EngineKind): Promise<EngineFacts> {
  return kind === 'podman' ? podmanFacts(api) : dockerFacts(api);
}

async function podmanFacts(api: EngineApi): Promise<EngineFacts> {
  const libpod = await api.ask('GET', `${LIBPOD}/info`);
  const host = fields(fields(libpod.body).host);
  const controllers = new Set(listOf(host.cgroupControllers));
  const isRootless = fields(host.security).rootless === true;
  const cgroupVersion = textOf(host.cgroupVersion);
  // Podman accepts limits of a rootless container there and ignores them.
  const canLimit = !(isRootless && cgroupVersion === 'v1');
  const defaultRuntime = textOf(fields(host.ociRuntime).name);
  return {
    kind: 'podman',
    version: textOf(fields(fields(libpod.body).version).Version),
    isRootless,
    hasMappedUsers: false,
    cgroupVersion,
    holds: {
      memoryBytes: canLimit && controllers.has('memory'),
      cpus: canLimit && controllers.has('cpu'),
      pids: canLimit && controllers.has('pids'),
    },
    runtime: defaultRuntime === 'crun' && (await isHybrid()) && (await hasRunc()) ? 'runc' : undefined,
    defaultRuntime,
    userIds: listOf(fields(host.idMappings).uidmap)
      .map((part) => Number(fields(part).size))
      .reduce((sum, size) => sum + (size > 0 ? size : 0), 0),
  };
}

async function dockerFacts(api: EngineApi): Promise<EngineFacts> {
  const info = fields((await api.ask('GET', `${DOCKER}/info`)).body);
  const options = listOf(info.SecurityOptions).map(textOf);
  const isRootless = options.some((option) => option.startsWith('name=rootless')) || info.Rootless === true;
  return {
    kind: 'docker',
    version: textOf(info.ServerVersion),
    isRootless,
    hasMappedUsers: options.some((option) => option.startsWith('name=userns')),
    cgroupVersion: `v${textOf(info.CgroupVersion) || '1'}`,
    holds: {
      memoryBytes: info.MemoryLimit === true,
      cpus: info.CpuCfsQuota === true,
      pids: info.PidsLimit === true,
    },
    runtime: undefined,
    defaultRuntime: textOf(info.DefaultRuntime),
    userIds: 65_536,
  };
}

/** The names of its OCI runtimes whose programs are there. */
export async function readRuntimes(api: EngineApi, kind: EngineKind): Promise<readonly string[]> {
  const {Runtimes} = fields((await api.ask('GET', `${DOCKER}/info`)).body);
  return kind === 'podman' ? present(Runtimes) : Object.keys(fields(Runtimes));
}

/** Podman names runtimes that it would know how to use. */
async function present(runtimes: unknown): Promise<string[]> {
  const found = await Promise.all(
    Object.entries(fields(runtimes)).map(async ([name, runtime]) => {
      const {path} = textsOf(runtime);
      const isThere = await access(path ?? '').then(
        () => true,
        () => false,
      );
      return isThere ? [name] : [];
    }),
  );
  return found.flat();
}

const hasRunc = async (): Promise<boolean> =>
  (await which('runc', {PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin`})) !== undefined;

/** Control groups of version 1 whose version 2 tree has controllers as well: crun refuses to start there. */
async function isHybrid(): Promise<boolean> {
  const controllers = await readFile('/sys/fs/cgroup/unified/cgroup.controllers', 'utf8').catch(() => '');
  return controllers.trim() !== '';
}

/** The OCI runtime for which podman needs a service of its own. */
export function specialRuntime(facts: EngineFacts, asked?: string): string | undefined {
  const runtime = asked ?? facts.runtime;
  return facts.kind === 'docker' || runtime === facts.defaultRuntime ? undefined : runtime;
}
