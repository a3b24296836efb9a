// `test` with a scope for each test: `test('…', async ({scope}) => …)`. Unlike `await using` in the test's body,
// it reports a failure of the test and a failure of the clean-up separately.
import {test as base} from 'vitest';
import {Scope} from './scope.js';

export const test = base.extend<{scope: Scope}>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the fixture's needs from this pattern
  scope: async ({}, use) => {
    await using scope = new Scope();
    await use(scope);
  },
});
