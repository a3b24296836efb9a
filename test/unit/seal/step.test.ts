// Steps of a start that do not come to an end.

import {expect} from 'vitest';
import {ranks, STEP_MS, step} from '../../../src/lib/seal/fabric/step.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {test} from '../../helpers/test.js';

test('a step that is late ends with an error that names it', async () => {
  const clock = new ManualClock();
  let missing = [0, 1, 2];
  const late = step(() => `The network of ${ranks(missing)}`, new Promise<never>(() => {}), clock);
  clock.advance(STEP_MS - 1);
  missing = [0, 2];
  clock.advance(1);
  await expect(late).rejects.toMatchObject({
    code: 'CLUSTER_INCOMPLETE',
    message: 'The network of ranks 0 and 2 was not ready after 30 s.',
  });
  expect(await step(() => 'It', Promise.resolve(7), clock)).toBe(7);
  expect(clock.pending).toBe(0);
});

test('ranks as people write them', () => {
  expect([[3], [0, 3], [0, 1, 5]].map(ranks)).toEqual(['rank 3', 'ranks 0 and 3', 'ranks 0, 1 and 5']);
});
