// The settings that `tunl relay start` adds to those of the library.

import {expect, test} from 'vitest';
import {readRelayConfig} from '../../../src/lib/cli/config/relay-config.js';
import {workersFor} from '../../../src/lib/cli/relay-flags.js';

test.for([
  [1, 1],
  [3, 1],
  [4, 4],
  [16, 16],
  [500, 64],
])('on %i cores %i workers', ([cores = 0, workers]) => {
  expect(workersFor(cores)).toBe(workers);
});

test('the number of workers can be given', async () => {
  expect(await readRelayConfig({workers: 2}, {})).toMatchObject({options: {workers: 2}});
  const {options} = await readRelayConfig({}, {});
  expect(options.workers).toBeGreaterThan(0);
});
