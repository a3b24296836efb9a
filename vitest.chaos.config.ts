import {defineConfig} from 'vitest/config';

/** They measure memory, CPU or times, or need most of the machine. */
const LOADS = [
  'attackers',
  'cut-link',
  'floods',
  'fuzz',
  'isolation',
  'leases',
  'load',
  'session-abuse',
  'slow',
  'soak',
  'strangers',
  'workers',
].map((name) => `test/chaos/${name}.test.ts`);

const isLong = process.env.TUNL_LONG === '1';

// The fault suite: a short form by default, the long one with TUNL_LONG=1.
export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    reporters: ['default', './test/setup/tally-reporter.ts'],
    pool: 'forks',
    projects: [
      {
        // Two files at a time: they wait more than they work.
        extends: true,
        test: {
          name: 'faults',
          include: ['test/chaos/**/*.test.ts'],
          exclude: LOADS,
          maxWorkers: isLong ? 1 : 2,
          testTimeout: isLong ? 3_600_000 : 180_000,
          hookTimeout: 60_000,
          sequence: {groupOrder: 0},
        },
      },
      {
        extends: true,
        test: {
          name: 'loads',
          include: LOADS,
          fileParallelism: false,
          testTimeout: isLong ? 3_600_000 : 180_000,
          hookTimeout: 60_000,
          sequence: {groupOrder: 1},
        },
      },
    ],
  },
});
