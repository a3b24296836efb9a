// The lease table in memory: its start from an earlier process, its reports of changes, and its cost.

import {expect, test} from 'vitest';
import type {Lease, LeaseKey} from '../../../../src/lib/relay/leases/lease-store.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';

const GRACE_MS = 1000;

test('names in use in the last process are leased from the start of this one', async () => {
  const time = {now: 5_000};
  const table = new MemoryLeases({graceMs: GRACE_MS, wallClock: () => time.now});
  table.begin([
    ['tls:held', {owner: 'ann', epoch: 7, expiresAt: undefined}],
    ['tls:old', {owner: 'ann', epoch: 3, expiresAt: 4999}],
  ]);
  expect((await table.claim('tls:held', 'bob')).ok).toBe(false);
  expect((await table.claim('tls:old', 'bob')).ok).toBe(true);
  time.now += GRACE_MS;
  expect(await table.claim('tls:held', 'bob')).toEqual({ok: true, epoch: 8});
});

test('a table with more rows than allowed begins with the newest, and no row lives longer than the grace period', async () => {
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

test('a release only touches leases that expire, however many there are', async () => {
  const time = {now: 5_000};
  const table = new MemoryLeases({graceMs: GRACE_MS, wallClock: () => time.now});
  const keys = Array.from({length: 15_000}, (_, i): LeaseKey => `tls:n${i}`);
  for (const key of keys) await table.claim(key, 'ann');
  // All at once would take seconds if each release went through all kept leases.
  const since = performance.now();
  for (const key of keys) await table.release(key, 1);
  for (const key of keys) await table.claim(key, 'ann');
  for (const key of keys) await table.release(key, 2);
  expect(performance.now() - since).toBeLessThan(1_000);
  expect(table.size).toBe(keys.length);
  time.now += GRACE_MS;
  expect(table.rows()).toEqual([]);
});

test('each change is reported with its key, also for leases that make room', async () => {
  const changes: LeaseKey[] = [];
  const table = new MemoryLeases({
    graceMs: GRACE_MS,
    maxLeasesPerOwner: 1,
    onChange: (key) => changes.push(key),
  });
  await table.claim('tls:a', 'ann');
  await table.release('tls:a', 1);
  await table.claim('tls:b', 'ann');
  expect(changes).toEqual(['tls:a', 'tls:a', 'tls:a', 'tls:b']);
});
