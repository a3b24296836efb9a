import {describe, expect, test} from 'vitest';
import {StreamIds} from '../../../src/lib/mux/stream-ids.js';

const take = (ids: StreamIds, count: number) => Array.from({length: count}, () => ids.take());

test('the relay opens odd ids, the agent even ones, each in rising order', () => {
  expect(take(new StreamIds('relay'), 3)).toEqual([1, 3, 5]);
  expect(take(new StreamIds('agent'), 3)).toEqual([2, 4, 6]);
});

describe.each([
  ['relay', 'agent'],
  ['agent', 'relay'],
] as const)('at the %s', (mine, theirs) => {
  test('ids of the other side are accepted once and in order', () => {
    const here = new StreamIds(mine);
    const ids = take(new StreamIds(theirs), 4) as number[];
    expect(ids.map((id) => here.admit(id))).toEqual([true, true, true, true]);
    expect(ids.map((id) => here.admit(id))).toEqual([false, false, false, false]);
  });

  test('the peer may not open an id of this side', () => {
    const here = new StreamIds(mine);
    for (const id of take(new StreamIds(mine), 4) as number[]) expect(here.admit(id)).toBe(false);
  });

  test('skipped ids are used up', () => {
    const here = new StreamIds(mine);
    const [first = 0, second = 0, third = 0] = take(new StreamIds(theirs), 3) as number[];
    expect(here.admit(third)).toBe(true);
    expect([first, second, third].map((id) => here.wasOpened(id))).toEqual([true, true, true]);
    expect(here.admit(second)).toBe(false);
  });

  test('at first nothing was opened, and of this side’s ids only those that were used', () => {
    const here = new StreamIds(mine);
    expect([1, 2, 3, 4].filter((id) => here.wasOpened(id))).toEqual([]);
    const own = here.take() ?? 0;
    expect([1, 2, 3, 4].filter((id) => here.wasOpened(id))).toEqual([own]);
  });
});
