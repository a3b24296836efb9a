// A minute of visitors, transfers, link cuts and agents that come and go leaves nothing behind in relay and agent.
// `npm run bench:soak` does the same for half an hour.
import {atMost} from '../helpers/metric.js';
import {test} from '../helpers/test.js';
import {sized} from './rig.js';
import {growth, soak} from './soaking.js';

test('a soak: memory, descriptors and timers are flat', async ({scope, expect}) => {
  const {samples, done, failures} = await soak(scope, {seconds: sized(24, 600), samples: 9});
  process.stdout.write(`${JSON.stringify({test: 'soak', done})}\n`);
  expect.soft(failures).toEqual([]);
  for (const [work, times] of Object.entries(done)) expect.soft(times, work).toBeGreaterThan(3);
  for (const {metric, value, limit} of growth(samples)) {
    expect.soft(atMost('soak', metric, value, limit), metric).toBe(true);
  }
});
