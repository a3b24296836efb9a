// Counts the packets that leave a test's own network namespace and should not.

import type {Host} from './net-ns.js';

export interface LeakCounter {
  packets(): Promise<number>;
  remove(): Promise<void>;
}

/** What a kernel says to its neighbours of its own accord. */
const NEIGHBOURS =
  'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report }';

/** @param allowed what may leave besides, as nft matches it. @param counted what counts of the rest. Default: everything */
export async function countLeaks(
  host: Pick<Host, 'run'>,
  {allowed = [], counted = ''}: {allowed?: readonly string[]; counted?: string},
): Promise<LeakCounter> {
  const rules = [
    ...['oifname lo', NEIGHBOURS, ...allowed].map((match) => `${match} accept`),
    `${counted} counter name seen`,
  ];
  await host.run(
    'nft',
    [
      'add table inet leaks',
      'add counter inet leaks seen',
      'add chain inet leaks output { type filter hook output priority 0 ; }',
      ...rules.map((rule) => `add rule inet leaks output ${rule}`),
    ].join('\n'),
  );
  return {
    async packets() {
      const text = await host.run('nft', 'list', 'counter', 'inet', 'leaks', 'seen');
      return Number(/packets (\d+)/.exec(text)?.[1]);
    },
    remove: async () => void (await host.run('nft', 'delete table inet leaks')),
  };
}
