// The source that has the most.

import {expect, test} from 'vitest';
import type {ListNode} from '../../../../src/lib/core/linked-list.js';
import {BySource} from '../../../../src/lib/relay/doors/by-source.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {randomFrom} from '../../../helpers/random.js';

function setUp() {
  const clock = new ManualClock();
  return {clock, sources: new BySource<string>(clock)};
}

test('the heaviest source is known as it grows, and found again after it is gone', () => {
  const {clock, sources} = setUp();
  expect(sources.heaviest()).toBeUndefined();
  const a = sources.add('a', 'a1', 5);
  const b = sources.add('b', 'b1', 3);
  expect(sources.heaviest()).toBe(sources.get('a'));
  sources.resize('b', 4);
  expect(sources.heaviest()).toBe(sources.get('b'));
  const c = sources.add('c', 'c1', 6);
  sources.delete('b', b, 7);
  clock.advance(100);
  expect(sources.heaviest()).toBe(sources.get('c'));
  sources.delete('c', c, 6);
  sources.delete('a', a, 5);
  clock.advance(100);
  expect([sources.heaviest(), [...sources.members()]]).toEqual([undefined, []]);
});

test('after any changes the result has at least half of the heaviest', () => {
  const {clock, sources} = setUp();
  const roll = randomFrom(7);
  const members: {source: string; member: ListNode<string>; weight: number}[] = [];
  const weights = new Map<string, number>();
  for (let step = 0; step < 20_000; step++) {
    if (roll() < 0.5 || members.length === 0) {
      const source = `s${Math.floor(roll() * 20)}`;
      const weight = 1 + Math.floor(roll() * 9);
      members.push({source, member: sources.add(source, `m${step}`, weight), weight});
      weights.set(source, (weights.get(source) ?? 0) + weight);
    } else {
      const [one] = members.splice(Math.floor(roll() * members.length), 1);
      if (one === undefined) throw new Error('nobody left');
      sources.delete(one.source, one.member, one.weight);
      weights.set(one.source, (weights.get(one.source) ?? 0) - one.weight);
    }
    clock.advance(100);
    const most = Math.max(...weights.values());
    if (most > 0) expect(sources.heaviest()?.weight).toBeGreaterThanOrEqual(most / 2);
  }
});
