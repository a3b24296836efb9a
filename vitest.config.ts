import {defineConfig} from 'vitest/config';

/**
 * Tests of open tunnels that run again behind each gate (test/helpers/behind-gate.ts): everything that visitors by HTTP see, but for
 * test/e2e/gates.test.ts and others that have gates of their own. Each program of tunl runs behind one.
 */
const BEHIND_EACH = ['web', 'upstreams', 'folder', 'offline-page', 'bulk'];
const BEHIND_GATES = {
  private: [...BEHIND_EACH, 'vite', 'jupyter'],
  'basic-auth': [...BEHIND_EACH, 'code-server'],
  // gRPC has the other gates in its own table.
  oidc: [...BEHIND_EACH, 'grpc'],
};

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
        // Real programs in separate processes. Two files at a time: they wait more than they work.
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['test/e2e/fresh-clone.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      ...Object.entries(BEHIND_GATES).map(([gate, names]) => ({
        extends: true as const,
        test: {
          name: `behind-${gate}`,
          include: names.map((name) => `test/e2e/${name}.test.ts`),
          // Two files at a time: they wait more than they work.
          env: {TUNL_TEST_GATE: gate},
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      })),
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
