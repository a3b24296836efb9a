// Files that cannot be read for lack of a descriptor. The module of the test mocks with it:
// `vi.mock('node:fs/promises', async (original) => (await import(…)).withUnreadable(await original()))`

import type fs from 'node:fs/promises';

/** Their paths. */
export const unreadable: Set<unknown> = new Set();

export function withUnreadable(real: typeof fs): object {
  const readFile = async (...args: Parameters<typeof real.readFile>) => {
    if (unreadable.has(args[0])) throw Object.assign(new Error('no descriptor'), {code: 'EMFILE'});
    return await real.readFile(...args);
  };
  return {...real, readFile};
}
