// Removes what sandboxes of processes that have ended left behind. Only those of this state folder: others may have owners that
// cannot be seen from here.

import {lifeOf} from '../launch/process-record.js';
import type {BackendName, SandboxBackend} from './backend.js';
import type {ListedSandbox, SandboxRoster} from './roster.js';

/** Never rejects: what cannot be removed now is tried again at the next start. */
export async function sweepSandboxes(
  roster: SandboxRoster,
  open: (name: BackendName) => Promise<SandboxBackend>,
): Promise<void> {
  const all = await roster.all().catch(() => []);
  const ended = all.filter(({life}) => life === 'ended');
  const unclean: ListedSandbox[] = [];
  // An owner that lives may still be at it, and backends leave its sandboxes alone.
  for (const each of ended) if (each.journal.unclean && (await isOwnerDead(each))) unclean.push(each);
  const ids = new Set(ended.map(({journal}) => journal.id));
  const isAlive = async (id: string) => !ids.has(id);
  for (const [name, left] of Map.groupBy(unclean, ({journal}) => journal.backend)) {
    try {
      // Without a backend nothing was begun.
      if (name === undefined) {
        for (const each of left) roster.markClean(each);
        continue;
      }
      const backend = await open(name);
      for (const each of left) await removeOne(backend, each);
      await backend.sweep?.(isAlive);
      for (const each of left) roster.markClean(each);
    } catch {
      // The isolation program is gone, or its engine does not answer.
    }
  }
}

async function isOwnerDead({journal}: ListedSandbox): Promise<boolean> {
  return (await lifeOf(journal.owner, journal.endedAt ?? journal.createdAt)) === 'ended';
}

/** A sandbox that outlives its owner has a record. */
async function removeOne(backend: SandboxBackend, {journal}: ListedSandbox): Promise<void> {
  const {record} = journal;
  const handle = record && (await backend.adopt?.(record));
  await handle?.destroy();
}
