// Leases: who may have a name, when, and with which epoch.

import fc from 'fast-check';
import {expect, test} from 'vitest';
import {type Lease, type LeaseKey, MemoryRegistry} from '../../../src/lib/relay/registry.js';

const GRACE_MS = 1000;

function registry(initial: Array<readonly [LeaseKey, Lease]> = []) {
  const time = {now: 5000};
  return {time, table: new MemoryRegistry({graceMs: GRACE_MS, wallClock: () => time.now, initial})};
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
  const registry = new MemoryRegistry({graceMs: 60_000});
  const epochs: number[] = [];
  for (const epoch of [Number.MAX_SAFE_INTEGER, 2 ** 52, undefined, undefined]) {
    const claim = await registry.claim('tls:demo', 'me', {epoch, holder: 'a'});
    if (claim.ok) epochs.push(claim.epoch);
  }
  expect(epochs).toEqual([1, 2 ** 52 + 1, 2 ** 52 + 2, 2 ** 52 + 3]);
});
