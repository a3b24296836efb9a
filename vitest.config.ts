import {defineConfig} from 'vitest/config';

// The configuration of all tests. `npm test` runs the projects one after the other; see test/run.sh.
export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    reporters: ['default', './test/setup/tally-reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/mux/**/*.test.ts', 'test/project/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        // Real programs in separate processes: one file at a time, because they would slow one another down.
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['test/e2e/fresh-clone.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'fresh',
          include: ['test/e2e/fresh-clone.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
