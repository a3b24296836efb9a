// How long a cluster waits before it starts again.

import {expect} from 'vitest';
import {RestartPauses} from '../../../src/lib/cluster/restart-pauses.js';
import {test} from '../../helpers/test.js';

test('pauses double to half a minute, and begin anew after a good minute', () => {
  const pauses = new RestartPauses();
  expect([10, 0, 59_999, 20, 20, 20, 20].map((ranMs) => pauses.after(ranMs))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000,
  ]);
  expect([60_000, 5].map((ranMs) => pauses.after(ranMs))).toEqual([1_000, 2_000]);
});
