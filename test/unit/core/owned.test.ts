// What ends with its owner.

import {expect, test} from 'vitest';
import {Owned} from '../../../src/lib/core/owned.js';

const thing = () => ({
  closed: 0,
  async close() {
    this.closed += 1;
  },
});

test('things end with their owner, and those that have ended by themselves do not end again', async () => {
  const owned = new Owned();
  const [one, other] = [thing(), thing()];
  await owned.open(async () => one);
  owned.add(other);
  owned.delete(other);
  expect(owned.all).toEqual([one]);
  await owned.close();
  expect([one.closed, other.closed]).toEqual([1, 0]);
});

test('a thing that opens while its owner ends is closed when its caller gets it', async () => {
  const owned = new Owned();
  const [one, late] = [Promise.withResolvers<ReturnType<typeof thing>>(), thing()];
  const opening = owned.open(() => one.promise);
  await owned.close();
  one.resolve(late);
  expect((await opening).closed).toBe(1);
});

test('nothing starts after the end', async () => {
  const owned = new Owned();
  await owned.close();
  let started = 0;
  const start = async () => {
    started += 1;
    return thing();
  };
  await expect(owned.open(start)).rejects.toMatchObject({code: 'CLOSED'});
  expect(started).toBe(0);
  const late = thing();
  owned.add(late);
  expect(late.closed).toBe(1);
});
