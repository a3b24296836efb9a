// The settings that `tunl relay start` adds to those of the library.

import {expect, test} from 'vitest';
import {relayOptions, workersFor} from '../../../src/lib/cli/relay-flags.js';

test.for([
  [1, 1],
  [3, 1],
  [4, 4],
  [16, 16],
  [500, 64],
])('on %i cores %i workers', ([cores = 0, workers]) => {
  expect(workersFor(cores)).toBe(workers);
});

test('the number of workers can be given', () => {
  expect(relayOptions({workers: 2} as Parameters<typeof relayOptions>[0])).toMatchObject({workers: 2});
  expect(relayOptions({} as Parameters<typeof relayOptions>[0]).workers).toBeGreaterThan(0);
});
