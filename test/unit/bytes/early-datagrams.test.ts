// Datagrams that wait for their way out: few bytes of them, and few of them.

import {expect} from 'vitest';
import {EarlyDatagrams} from '../../../src/lib/bytes/early-datagrams.js';
import {test} from '../../helpers/test.js';

test('empty datagrams are bounded like longer ones, and the longest one has room', () => {
  const early = new EarlyDatagrams();
  for (let at = 0; at < 100_000; at += 1) early.add(Buffer.alloc(at % 2));
  const kept = early.take();
  expect(kept.length).toBeGreaterThan(500);
  expect(kept.length).toBeLessThan(700);
  expect(early.take()).toEqual([]);
  early.add(Buffer.alloc(65_507, 1));
  early.add(Buffer.from('one too many'));
  expect(early.take().map(({length}) => length)).toEqual([65_507]);
});
