// Descriptors of namespaces. They keep the namespaces, and their paths never lead to those of another process.

import {closeSync, openSync} from 'node:fs';
import {isOwnNamespace} from './leftovers.js';
import {sealError} from './obstacles.js';

export interface NamespaceFiles {
  readonly net: number;
  readonly mnt?: number | undefined;
  readonly user?: number | undefined;
  readonly uts?: number | undefined;
  /** For children: the process itself is outside. */
  readonly pid?: number | undefined;
}

export const fileOf = (descriptor: number): string => `/proc/${process.pid}/fd/${descriptor}`;

/** @throws TunlError SANDBOX_EGRESS the process is gone, or has the network of this one */
export function openFiles(pid: number | undefined, names: readonly (keyof NamespaceFiles)[]): NamespaceFiles {
  const files: Partial<Record<keyof NamespaceFiles, number>> = {};
  try {
    for (const name of names)
      files[name] = openSync(`/proc/${pid}/ns/${name === 'pid' ? 'pid_for_children' : name}`, 'r');
    // Another process may have got the number of one that has ended. A program must never start in the machine's network.
    if (files.net === undefined || isOwnNamespace(files.net))
      throw new Error('it has the network of the machine');
    return {...files, net: files.net};
  } catch (error) {
    closeFiles(files);
    throw cannotJoin(pid, (error as Error).message);
  }
}

export function cannotJoin(pid: number | undefined, detail: string): Error {
  const why = `The network of process ${pid} cannot be sealed: ${detail.trim().split('\n')[0]}.`;
  return sealError({
    why,
    mend: 'Start it in a network namespace of its own, without a network (--network none).',
  });
}

export function closeFiles(files: Partial<NamespaceFiles> | undefined): void {
  for (const file of Object.values(files ?? {})) if (file !== undefined) closeSync(file);
}
