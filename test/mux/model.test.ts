import fc from 'fast-check';
import {describe, test} from 'vitest';
import {FABRICS} from './fabrics.js';
import {config, steps, World} from './model.js';

/** TUNL_LONG=1: about an hour. TUNL_RUNS: the number of runs. A failure prints the seed and the path to the smallest case. */
const RUNS = Number(process.env.TUNL_RUNS ?? (process.env.TUNL_LONG === '1' ? 20_000 : 200));

describe.each(FABRICS)('two sessions over $name', (fabric) => {
  const numRuns = Math.ceil(RUNS * fabric.share);

  test('deliver every byte once and in order, and every end, whatever breaks in between', {
    timeout: 3_600_000,
  }, async () => {
    const property = fc.asyncProperty(config, steps, async (settings, list) => {
      await using world = new World(fabric, settings);
      await world.start();
      await world.run(list);
    });
    await fc.assert(property, {numRuns});
  });
});
