// Decides what a sandbox's container is like, without asking anybody: pure. The two engines' own forms are made of it.

import type {SandboxMount, SandboxSpec} from '../spec.js';
import type {EngineFacts} from './facts.js';
import type {HostNode} from './host-node.js';

/** The facts of an image about its containers. */
export interface ImageFacts {
  /** Its digest, so that nothing is pulled in its place. */
  readonly id: string;
  readonly env: Readonly<Record<string, string>>;
  /** `USER` or `USER:GROUP`; '' means root. */
  readonly user: string;
  readonly workdir: string;
  /** Folders that it wants on a disk of their own. */
  readonly volumes: readonly string[];
}

export interface ContainerPlan {
  readonly name: string;
  readonly image: string;
  readonly runtime: string | undefined;
  readonly command: readonly string[];
  /** Numbers, or the image's own name. */
  readonly user: string;
  /** The id outside of the id 0 inside; the next ID_RANGE follow. Undefined: the engine's own user namespace, or none. */
  readonly firstId?: number | undefined;
  /** A rootless engine: the caller's own id is the same inside. */
  readonly keepsId: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly mounts: readonly SandboxMount[];
  /** The one writable folder; undefined: half of the machine's memory, as tmpfs has it. */
  readonly scratchBytes: number | undefined;
  readonly sharedMemoryBytes: number;
  /** Folders that the image declares, and that must not become disks without a limit. */
  readonly volumes: readonly string[];
  readonly memoryBytes: number | undefined;
  readonly cpus: number | undefined;
  readonly pids: number | undefined;
  readonly openFiles: number;
  readonly processes: number;
  /** The file with the filter of system calls. */
  readonly seccompFile: string;
}

/** Where a command of the sandbox runs when nobody says anything. */
export interface CommandDefaults {
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
}

/** The limits of this process, which a container of its own service cannot exceed. */
export interface OwnLimits {
  readonly openFiles: number;
  readonly processes: number;
}

export interface PlanInput {
  readonly spec: SandboxSpec;
  readonly image: ImageFacts;
  readonly facts: EngineFacts;
  readonly node: HostNode;
  readonly own: OwnLimits;
  readonly labels: Readonly<Record<string, string>>;
  /** The user of the host that the sandbox is; undefined: nobody that exists. Never root. */
  readonly outside: number | undefined;
  /** This process's. */
  readonly uid: number;
  readonly gid: number;
  readonly seccompFile: string;
}

/** The only folder of an engine's sandbox that can be written without a mount. */
export const SCRATCH = '/tmp';
export const HOME = `${SCRATCH}/home`;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Inside; most images that have a user of their own give it this id. */
const USER = 1_000;
/** Ids of one sandbox outside. */
export const ID_RANGE = 65_536;
/** The first id outside; below are people, services and their subordinate ids. */
const FIRST_ID = 1_048_576 * 512;
const ID_RANGES = 16_384;
const LEAST_FIRST_ID = 65_536;
/** Threads and processes that the sandbox needs for itself: the init with its Node, and what reaps for it. */
const OWN_TASKS = 16;
/** Podman lowers its own limit to the machine's number of pids, which is at least twice this. */
const MOST_PROCESSES = 16_384;
const SHARED_MEMORY_BYTES = 64 * 1024 * 1024;

export const containerName = (sandboxId: string): string => `tunl-${sandboxId}`;

export function planContainer(input: PlanInput): ContainerPlan {
  const {spec, image, facts, node, own, labels} = input;
  const {limits} = spec;
  const shared =
    limits.diskBytes === undefined
      ? SHARED_MEMORY_BYTES
      : Math.min(SHARED_MEMORY_BYTES, Math.floor(limits.diskBytes / 4));
  return {
    name: containerName(spec.id),
    image: image.id,
    runtime: spec.runtime ?? facts.runtime,
    command: node.command,
    ...whoRuns(input),
    labels,
    mounts: [...spec.mounts, ...node.mounts],
    scratchBytes: limits.diskBytes === undefined ? undefined : limits.diskBytes - shared,
    sharedMemoryBytes: shared,
    volumes: image.volumes.filter((folder) => spec.mounts.every(({target}) => target !== folder)),
    memoryBytes: limits.memoryBytes,
    cpus: limits.cpus,
    pids: limits.pids === undefined ? undefined : limits.pids + OWN_TASKS,
    // Podman's own defaults are above what a process without CAP_SYS_RESOURCE may pass on.
    openFiles: limits.openFiles ?? own.openFiles,
    processes: Math.min(own.processes, MOST_PROCESSES),
    seccompFile: input.seccompFile,
  };
}

/** The user inside, and who that is outside. */
function whoRuns({
  spec,
  image,
  facts,
  outside,
  uid,
  gid,
}: PlanInput): Pick<ContainerPlan, 'user' | 'firstId' | 'keepsId'> {
  const named = isRoot(image.user) ? undefined : image.user;
  if (facts.kind === 'podman' && facts.isRootless) {
    if (facts.userIds < 2) return {user: '0:0', keepsId: false};
    return outside === uid
      ? {user: `${uid}:${gid}`, keepsId: true}
      : {user: named ?? `${USER}:${USER}`, keepsId: false};
  }
  if (facts.kind === 'podman') {
    if (outside === undefined)
      return {user: named ?? `${USER}:${USER}`, firstId: firstIdOf(spec.id), keepsId: false};
    const user = numeric(named);
    const firstId = outside - user;
    // Ids of people and services are not lent to a range, which would begin with the host's root.
    if (firstId < LEAST_FIRST_ID) return {user: `${outside}:${outside}`, keepsId: false};
    return {user: `${user}:${user}`, firstId, keepsId: false};
  }
  if (facts.isRootless || facts.hasMappedUsers) return {user: named ?? `${USER}:${USER}`, keepsId: false};
  // Docker has no user namespace for one container: ids inside are the host's.
  const id = outside ?? firstIdOf(spec.id);
  return {user: outside === undefined && named !== undefined ? named : `${id}:${id}`, keepsId: false};
}

function isRoot(user: string): boolean {
  return /^(|root|0+)(:.*)?$/.test(user);
}

/** The id of an image's user. Names can be read only inside the image; nearly all are this one. */
function numeric(user: string | undefined): number {
  const id = Number(/^\d+/.exec(user ?? '')?.[0] ?? USER);
  return id < ID_RANGE ? id : USER;
}

function firstIdOf(sandboxId: string): number {
  let hash = 0;
  for (const char of sandboxId) hash = (hash * 31 + char.charCodeAt(0)) % 4_294_967_291;
  return FIRST_ID + (hash % ID_RANGES) * ID_RANGE;
}

export function commandDefaults(spec: SandboxSpec, image: ImageFacts): CommandDefaults {
  return {
    env: {PATH, HOME, ...image.env, ...(spec.env.HOME === undefined && {HOME}), ...spec.env},
    workdir: spec.workdir ?? (['', '/'].includes(image.workdir) ? HOME : image.workdir),
  };
}
