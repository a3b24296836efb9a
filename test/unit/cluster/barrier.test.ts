import {describe, expect, test} from 'vitest';
import {
  conflict,
  firstFailure,
  leaderOf,
  ranksOf,
  readSays,
  type Says,
  type Seen,
  waitingFor,
} from '../../../src/lib/cluster/barrier.js';

const seen = (name: string, serial: number, says: Partial<Says> | undefined = {}): Seen => ({
  name,
  address: `fdaa::${serial}`,
  serial,
  says: says && {size: 2, epoch: 1, ...says},
});

describe('what a member says', () => {
  test.each([
    undefined,
    null,
    [],
    'x',
    {},
    {cluster: 1},
    {cluster: {size: '2', epoch: 1}},
    {cluster: {size: 2}},
  ])('%j is nothing', (state) => expect(readSays(state)).toBeUndefined());

  test('a member with a name that no command gives takes no part: a plan of long names would not fit', () => {
    const all = [seen('x'.repeat(63), 1), seen('rank31', 2), seen('mabcdefg', 3)];
    expect(leaderOf(all, 2)?.name).toBe('rank31');
    expect(waitingFor(all, {size: 3, epoch: 1})).toHaveLength(0);
    expect(waitingFor(all, {size: 2, epoch: 1}).map(({name}) => name)).toEqual(['rank31', 'mabcdefg']);
  });

  test.each([256, 2 ** 31, 1e300, -1, 1.5])('an exit with the code %d is none', (code) => {
    const says = readSays({cluster: {size: 2, epoch: 1, exit: {epoch: 1, code, at: 5}}});
    expect(says?.exit).toBeUndefined();
  });

  test('parts that cannot be understood are left out', () => {
    const says = readSays({
      cluster: {size: 2, epoch: 1, rank: -1, go: 7, plan: {id: 'x', epoch: 1, members: [1]}, exit: {code: 1}},
    });
    expect(says).toMatchObject({size: 2, epoch: 1});
    expect([says?.rank, says?.go, says?.plan, says?.exit]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('who plans', () => {
  test('the member that joined first, of those that speak of the same cluster', () => {
    const all = [seen('c', 3), seen('b', 2), seen('a', 1, {size: 3}), seen('silent', 0, undefined)];
    expect(
      leaderOf(
        all.map((each) => (each.name === 'silent' ? {...each, says: undefined} : each)),
        2,
      )?.name,
    ).toBe('b');
    expect(leaderOf(all.slice(0, 2), 2, new Set(['b']))?.name).toBe('c');
  });
});

describe('ranks', () => {
  test('follow the order of joining', () => {
    expect(ranksOf([seen('a', 1), seen('b', 2)], 2)).toEqual(['a', 'b']);
  });
  test('that are wanted come first', () => {
    expect(ranksOf([seen('a', 1), seen('b', 2, {rank: 0})], 2)).toEqual(['b', 'a']);
  });
  test('are there when all are', () => expect(ranksOf([seen('a', 1)], 2)).toBeUndefined());
  test('belong to members that wait for the same start', () => {
    const all = [
      seen('ended', 1, {exit: {epoch: 1, code: 0, at: 5, told: false}}),
      seen('later', 2, {epoch: 2}),
      seen('leaving', 3, {over: true}),
      seen('a', 4),
      seen('b', 5),
      seen('c', 6),
    ];
    expect(waitingFor(all, {size: 2, epoch: 1}).map(({name}) => name)).toEqual(['a', 'b']);
    expect(waitingFor(all, {size: 2, epoch: 1, deaf: new Set(['a'])}).map(({name}) => name)).toEqual([
      'b',
      'c',
    ]);
  });
});

describe('conflicts', () => {
  test.each<[string, Partial<Says>, Partial<Says>, boolean]>([
    ['another size', {size: 3}, {}, true],
    ['the same wanted rank', {rank: 1}, {rank: 1}, true],
    ['another wanted rank', {rank: 1}, {rank: 0}, false],
    ['another size of one that leaves', {size: 3, over: true}, {}, false],
  ])('%s', (_, before, own, isOne) => {
    const all = [seen('before', 1, before), seen('own', 2, own)];
    expect(conflict(all, 'own')?.code).toBe(isOne ? 'CLUSTER_INVALID' : undefined);
    // The member that came first stays.
    expect(conflict(all, 'before')).toBeUndefined();
  });
});

test('the earliest failure that nobody asked for counts', () => {
  const exit = (code: number, at: number, told = false) => ({epoch: 1, code, at, told});
  expect(
    firstFailure([
      {rank: 0, exit: exit(143, 1, true)},
      {rank: 1, exit: exit(7, 90)},
      {rank: 2, exit: exit(9, 80)},
      {rank: 3, exit: exit(0, 1)},
    ])?.rank,
  ).toBe(2);
  expect(firstFailure([{rank: 0, exit: exit(0, 1)}])).toBeUndefined();
});
