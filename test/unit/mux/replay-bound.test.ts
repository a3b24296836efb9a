import {expect, test} from 'vitest';
import {ReplayBound} from '../../../src/lib/mux/replay-bound.js';
import {REPLAY_SHARE, ReplayBudget} from '../../../src/lib/mux/replay-budget.js';

const MIB = 1024 * 1024;

test('a session alone keeps up to its own bound', () => {
  const bound = new ReplayBound(MIB, undefined);
  expect([bound.isReached(MIB - 1), bound.isReached(MIB)]).toEqual([false, true]);
});

test('beside others it has only its share, while the shared budget is used up', () => {
  const budget = new ReplayBudget(4 * MIB);
  const [one, other] = [new ReplayBound(16 * MIB, budget), new ReplayBound(16 * MIB, budget)];
  one.tell(4 * MIB);
  expect([other.isReached(REPLAY_SHARE - 1), other.isReached(REPLAY_SHARE)]).toEqual([false, true]);
  one.tell(4 * MIB - 1);
  expect(other.isReached(REPLAY_SHARE)).toBe(false);
});

test('the budget has the latest count, and none after the end', () => {
  const budget = new ReplayBudget(MIB);
  const bound = new ReplayBound(MIB, budget);
  for (const kept of [10, 500, 20]) bound.tell(kept);
  expect(budget.usedBytes).toBe(20);
  bound.end();
  bound.end();
  bound.tell(70);
  expect(budget.usedBytes).toBe(0);
});

test('a change that was held back is reported once', () => {
  const bound = new ReplayBound(MIB, undefined);
  bound.isReached(MIB - 1);
  expect(bound.takeHeldBack()).toBe(false);
  bound.isReached(MIB);
  bound.isReached(0);
  expect([bound.takeHeldBack(), bound.takeHeldBack()]).toEqual([true, false]);
});
