// A seal whose way out is an egress that is still on its way.

import {expect} from 'vitest';
import type {EgressClient} from '../../../src/lib/egress/client.js';
import {openEgressSeal} from '../../../src/lib/egress/run.js';
import {test} from '../../helpers/test.js';
import {unhandledRejections} from '../../helpers/unhandled.js';

test('a seal that cannot open is told at once, also when the relay does not answer', async ({scope}) => {
  const unhandled = unhandledRejections(scope);
  const opening = Promise.withResolvers<EgressClient>();
  const sealing = openEgressSeal(opening.promise, {localPorts: [], signal: AbortSignal.abort()});
  await expect(sealing).rejects.toMatchObject({code: 'ABORTED'});
  opening.reject(new Error('no link'));
  expect(await unhandled()).toEqual([]);
});
