// Room that many streams share: no owner has more than its part, and all of it comes back.

import {expect, test} from 'vitest';
import {SharedRoom} from '../../../src/lib/bytes/datagram-room.js';

test('an owner has its part, and all together have the whole', () => {
  const room = new SharedRoom({most: 100, mostOfOne: 60});
  const [one, again, two] = [room.of('one'), room.of('one'), room.of('two')];
  expect([one.take(50), again.take(11), again.take(10), one.take(0)]).toEqual([true, false, true, true]);
  expect([two.take(41), two.take(40)]).toEqual([false, true]);
  one.give(50);
  expect([two.take(21), two.take(20)]).toEqual([false, true]);
  again.give(10);
  two.give(60);
  expect([room.of('three').take(60), room.of('four').take(40)]).toEqual([true, true]);
});
