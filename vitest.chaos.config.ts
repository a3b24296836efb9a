import {defineConfig} from 'vitest/config';

// The fault suite: a short form by default, the long one with TUNL_LONG=1. One file at a time.
export default defineConfig({
  test: {
    include: ['test/chaos/**/*.test.ts'],
    disableConsoleIntercept: true,
    reporters: ['default', './test/setup/tally-reporter.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: process.env.TUNL_LONG === '1' ? 3_600_000 : 180_000,
    hookTimeout: 60_000,
  },
});
