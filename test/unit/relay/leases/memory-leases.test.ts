// Leases: who may have a name, when, and with which epoch.

import fc from 'fast-check';
import {expect, test} from 'vitest';
import type {Lease, LeaseKey} from '../../../../src/lib/relay/leases/lease-store.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';

const GRACE_MS = 1000;

function registry(initial: Array<readonly [LeaseKey, Lease]> = []) {
  const time = {now: 5000};
  const table = new MemoryLeases({graceMs: GRACE_MS, wallClock: () => time.now});
  table.begin(initial);
  return {time, table};
}

test('a held name is refused to everybody else and granted to its owner with a higher epoch', async () => {
  const {table} = registry();
  expect(await table.claim('tls:demo', 'ann')).toEqual({ok: true, epoch: 1});
  expect(await table.claim('tls:demo', 'bob')).toEqual({ok: false, reason: 'taken'});
  expect(await table.claim('tls:demo', 'ann')).toEqual({ok: true, epoch: 2});
});

test('a released name stays its owner’s until the grace period has passed', async () => {
  const {table, time} = registry();
  await table.claim('tls:demo', 'ann');
  await table.release('tls:demo', 1);
  time.now += GRACE_MS - 1;
  expect((await table.claim('tls:demo', 'bob')).ok).toBe(false);
  time.now += 1;
  expect(await table.claim('tls:demo', 'bob')).toEqual({ok: true, epoch: 2});
});

test('a late release of an earlier epoch changes nothing', async () => {
  const {table, time} = registry();
  await table.claim('tls:demo', 'ann');
  await table.claim('tls:demo', 'ann');
  await table.release('tls:demo', 1);
  time.now += 10 * GRACE_MS;
  expect((await table.claim('tls:demo', 'bob')).ok).toBe(false);
});

test('what was held in the last process is leased from the start of this one', async () => {
  const {table, time} = registry([
    ['tls:held', {owner: 'ann', epoch: 7, expiresAt: undefined}],
    ['tls:old', {owner: 'ann', epoch: 3, expiresAt: 4999}],
  ]);
  expect((await table.claim('tls:held', 'bob')).ok).toBe(false);
  expect((await table.claim('tls:old', 'bob')).ok).toBe(true);
  time.now += GRACE_MS;
  expect(await table.claim('tls:held', 'bob')).toEqual({ok: true, epoch: 8});
});

test('who had a name gets it back, but not from another agent that has claimed it since', async () => {
  const {table} = registry();
  expect(await table.claim('tls:demo', 'ann', {holder: 'one'})).toEqual({ok: true, epoch: 1});
  expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 1})).toEqual({ok: true, epoch: 2});
  // The answer with epoch 2 was lost: it is still the same agent that asks.
  expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 1})).toEqual({ok: true, epoch: 3});
  expect(await table.claim('tls:demo', 'ann', {holder: 'two'})).toEqual({ok: true, epoch: 4});
  const late = await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 3});
  expect(late).toEqual({ok: false, reason: 'superseded'});
  await table.release('tls:demo', 4);
  expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 3})).toEqual(late);
  expect(await table.claim('tls:demo', 'ann', {holder: 'two', epoch: 4})).toEqual({ok: true, epoch: 5});
});

test('a table that was lost takes the epoch that an agent had', async () => {
  const {table} = registry();
  expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 9})).toEqual({ok: true, epoch: 10});
});

test('names that JavaScript objects have are names like others', async () => {
  const {table} = registry();
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    expect(table.isTaken(`tls:${name}`)).toBe(false);
    expect((await table.claim(`tls:${name}`, 'ann')).ok).toBe(true);
  }
});

test('whatever happens, nobody gets what another holds, and epochs only grow while it is held', async () => {
  const step = fc.record({
    who: fc.constantFrom('ann', 'bob', 'cid'),
    key: fc.constantFrom<LeaseKey>('tls:a', 'tls:b', 'tcp:1'),
    what: fc.constantFrom('claim', 'release', 'wait'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, {maxLength: 60}), async (steps) => {
      const {table, time} = registry();
      const model = new Map<LeaseKey, {owner: string; epoch: number; until: number}>();
      for (const {who, key, what} of steps) {
        const known = model.get(key);
        if (what === 'wait') time.now += GRACE_MS / 3;
        else if (what === 'claim') {
          const result = await table.claim(key, who);
          expect(result.ok).toBe(known === undefined || known.owner === who || known.until <= time.now);
          if (!result.ok) continue;
          if (known !== undefined && known.until > time.now) expect(result.epoch).toBe(known.epoch + 1);
          model.set(key, {owner: who, epoch: result.epoch, until: Number.POSITIVE_INFINITY});
        } else if (known !== undefined && known.until === Number.POSITIVE_INFINITY) {
          await table.release(key, known.epoch);
          known.until = time.now + GRACE_MS;
        }
      }
    }),
    {numRuns: 200},
  );
});

test('an epoch that an agent made up leaves room to grow for all who come after it', async () => {
  const registry = new MemoryLeases({graceMs: 60_000});
  const epochs: number[] = [];
  for (const epoch of [Number.MAX_SAFE_INTEGER, 2 ** 52, undefined, undefined]) {
    const claim = await registry.claim('tls:demo', 'me', {epoch, holder: 'a'});
    if (claim.ok) epochs.push(claim.epoch);
  }
  expect(epochs).toEqual([1, 2 ** 52 + 1, 2 ** 52 + 2, 2 ** 52 + 3]);
});

/** The keys that are somebody's now. */
const taken = (table: MemoryLeases, keys: readonly LeaseKey[]) => keys.filter((key) => table.isTaken(key));

test('an owner’s bound: the names kept longest make room, and when none is left the owner is full', async () => {
  const changes: LeaseKey[] = [];
  const table = new MemoryLeases({
    graceMs: GRACE_MS,
    maxLeasesPerOwner: 3,
    onChange: (key) => changes.push(key),
  });
  for (const key of ['tls:a', 'tls:b', 'tls:c'] as const) await table.claim(key, 'ann');
  await table.release('tls:b', 1);
  await table.release('tls:a', 1);
  changes.length = 0;
  expect((await table.claim('tls:d', 'ann')).ok).toBe(true);
  expect(changes).toEqual(['tls:b', 'tls:d']);
  expect((await table.claim('tls:e', 'ann')).ok).toBe(true);
  expect(taken(table, ['tls:a', 'tls:b', 'tls:c', 'tls:d', 'tls:e'])).toEqual(['tls:c', 'tls:d', 'tls:e']);
  expect(await table.claim('tls:f', 'ann')).toEqual({ok: false, reason: 'owner-full'});
  // What it has it may have again, and others have bounds of their own.
  expect(await table.claim('tls:c', 'ann')).toEqual({ok: true, epoch: 2});
  expect((await table.claim('tls:f', 'bob')).ok).toBe(true);
  // An agent of the same owner with few names is not refused for the others.
  expect((await table.claim('tls:g', 'ann', {withinShare: true})).ok).toBe(true);
});

test('a bound in all: nobody’s name is lost to make room for somebody else’s', async () => {
  const table = new MemoryLeases({graceMs: GRACE_MS, maxLeases: 2});
  await table.claim('tls:a', 'ann');
  await table.release('tls:a', 1);
  await table.claim('tls:b', 'bob');
  expect(await table.claim('tls:c', 'cid', {withinShare: true})).toEqual({ok: false, reason: 'full'});
  expect((await table.claim('tls:c', 'ann')).ok).toBe(true);
  expect(taken(table, ['tls:a', 'tls:b', 'tls:c'])).toEqual(['tls:b', 'tls:c']);
});

test('a table with more rows than allowed begins with the youngest, none of which outlives the grace period', async () => {
  const rows = Array.from({length: 5}, (_, i): readonly [LeaseKey, Lease] => [
    `tls:n${i}`,
    {owner: 'ann', epoch: 1, expiresAt: 5_500 + i},
  ]);
  rows.unshift(['tls:wrong-clock', {owner: 'bob', epoch: 1, expiresAt: 1e15}]);
  const time = {now: 5_000};
  const table = new MemoryLeases({
    graceMs: GRACE_MS,
    maxLeasesPerOwner: 2,
    wallClock: () => time.now,
  });
  table.begin(rows);
  expect(table.rows().map(([key]) => key)).toEqual(['tls:n3', 'tls:n4', 'tls:wrong-clock']);
  time.now += GRACE_MS;
  expect(table.rows()).toEqual([]);
});

test('releases look at what expires and at nothing else, however many leases there are', async () => {
  const time = {now: 5_000};
  const table = new MemoryLeases({graceMs: GRACE_MS, wallClock: () => time.now});
  const keys = Array.from({length: 15_000}, (_, i): LeaseKey => `tls:n${i}`);
  for (const key of keys) await table.claim(key, 'ann');
  // All at once took seconds when each release looked at all that others had kept.
  const since = performance.now();
  for (const key of keys) await table.release(key, 1);
  for (const key of keys) await table.claim(key, 'ann');
  for (const key of keys) await table.release(key, 2);
  expect(performance.now() - since).toBeLessThan(1_000);
  expect(table.size).toBe(keys.length);
  time.now += GRACE_MS;
  expect(table.rows()).toEqual([]);
});
