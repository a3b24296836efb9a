// The interface of control groups: what the kernel holds for all processes of a sandbox together.

import type {Finding, SandboxStats} from '../backend.js';
import type {SandboxLimits} from '../spec.js';

/** The limits that a control group holds. */
export type GroupLimit = 'memoryBytes' | 'cpus' | 'pids';
export const GROUP_LIMITS: readonly GroupLimit[] = ['memoryBytes', 'cpus', 'pids'];

export interface ControlGroup {
  /** Files that the first process writes its pid to, before it starts anything. */
  readonly enter: readonly string[];
  /** Words before the command that starts the first process. */
  readonly prefix: readonly string[];
  /** Its counters; there are none before the first process is in it. */
  stats(): Promise<SandboxStats>;
  /** How many processes the kernel has killed because the memory was used up. */
  oomKills(): Promise<number>;
  /** Kills all its processes, and removes it when they are gone. Idempotent; never rejects. */
  destroy(): Promise<void>;
}

/** A way to make control groups on this machine. */
export interface GroupMaker {
  readonly findings: Readonly<Record<GroupLimit, Finding>>;
  /** Undefined: this machine has none. @param sandboxId names the group. */
  make(sandboxId: string, limits: SandboxLimits): Promise<ControlGroup | undefined>;
  /** Removes groups that have been empty for long: their owners may have left no other trace. Quick. */
  tidy(): Promise<void>;
  /** Removes groups whose sandbox has no living owner, with the processes in them. */
  sweep(isAlive: (sandboxId: string) => Promise<boolean>): Promise<void>;
}

/** All groups are below a folder of this name, or have it in their names. */
export const GROUP_NAME = 'tunl-sandboxes';
