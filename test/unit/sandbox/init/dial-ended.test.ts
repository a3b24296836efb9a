import {expect} from 'vitest';
import {connectInit} from '../../../../src/lib/sandbox/init/init-client.js';
import {socketPair} from '../../../helpers/init.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {test} from '../../../helpers/test.js';

test('a dial into a sandbox that has ended leaves no timer behind', async ({scope}) => {
  const [near] = await socketPair(scope);
  const clock = new ManualClock();
  const init = connectInit(near, {clock});
  init.close();
  await init.lost;
  await expect(init.dial(80)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
  clock.advance(60_000);
});
