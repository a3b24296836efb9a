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
  test('whatever the other side takes is admitted, once and in its order', () => {
    const here = new StreamIds(mine);
    const ids = take(new StreamIds(theirs), 4) as number[];
    expect(ids.map((id) => here.admit(id))).toEqual([true, true, true, true]);
    expect(ids.map((id) => here.admit(id))).toEqual([false, false, false, false]);
  });

  test('an id that is this side’s own is not the peer’s to open', () => {
    const here = new StreamIds(mine);
    for (const id of take(new StreamIds(mine), 4) as number[]) expect(here.admit(id)).toBe(false);
  });

  test('ids may be left out and are used up by that', () => {
    const here = new StreamIds(mine);
    const [first = 0, second = 0, third = 0] = take(new StreamIds(theirs), 3) as number[];
    expect(here.admit(third)).toBe(true);
    expect([first, second, third].map((id) => here.wasOpened(id))).toEqual([true, true, true]);
    expect(here.admit(second)).toBe(false);
  });

  test('nothing was opened at first, and of this side’s own only what was taken', () => {
    const here = new StreamIds(mine);
    expect([1, 2, 3, 4].filter((id) => here.wasOpened(id))).toEqual([]);
    const own = here.take() ?? 0;
    expect([1, 2, 3, 4].filter((id) => here.wasOpened(id))).toEqual([own]);
  });
});
