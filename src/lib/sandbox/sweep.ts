// Removes what sandboxes of killed processes left behind. Only those of this state folder: others may have owners that cannot be
// seen from here.

import type {BackendName, SandboxBackend} from './backend.js';
import type {ListedSandbox, SandboxRoster} from './roster.js';

/** Never rejects: what cannot be removed now is tried again at the next start. */
export async function sweepSandboxes(
  roster: SandboxRoster,
  open: (name: BackendName) => Promise<SandboxBackend>,
): Promise<void> {
  const all = await roster.all().catch(() => []);
  const ended = all.filter(({life}) => life === 'ended');
  const unclean = ended.filter(({journal}) => journal.unclean);
  const ids = new Set(ended.map(({journal}) => journal.id));
  const isAlive = async (id: string) => !ids.has(id);
  for (const [name, left] of Map.groupBy(unclean, ({journal}) => journal.backend)) {
    if (name === undefined) continue;
    try {
      const backend = await open(name);
      for (const each of left) await removeOne(backend, each);
      await backend.sweep?.(isAlive);
      for (const each of left) roster.markClean(each);
    } catch {
      // The isolation program is gone, or its engine does not answer.
    }
  }
}

/** A sandbox that outlives its owner has a record. */
async function removeOne(backend: SandboxBackend, {journal}: ListedSandbox): Promise<void> {
  const {record} = journal;
  const handle = record && (await backend.adopt?.(record));
  await handle?.destroy();
}
