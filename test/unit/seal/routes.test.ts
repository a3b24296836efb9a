import {expect, test} from 'vitest';
import type {HolderWord} from '../../../src/lib/seal/holder.js';
import {Routes} from '../../../src/lib/seal/routes.js';

/** A holder that does everything but the words that are in `failing`. */
function start(...failing: readonly HolderWord[]) {
  const told: HolderWord[] = [];
  const routes = new Routes(async (word) => {
    told.push(word);
    if (failing.includes(word)) throw new Error(`no ${word}`);
  });
  return {told, routes};
}

test('listeners are made once, and each change is told once', async () => {
  const {told, routes} = start();
  for (const isOpen of [false, true, true, false, false, true]) await routes.set(isOpen);
  expect(told).toEqual(['open', 'none', 'routes']);
});

test('what the holder has not done is asked for again, and what has not begun needs no end', async () => {
  const {told, routes} = start('open');
  await expect(routes.set(true)).rejects.toThrow('no open');
  await expect(routes.set(true)).rejects.toThrow('no open');
  await routes.set(false);
  expect(told).toEqual(['open', 'open']);
});

test('a change that comes while another fails is judged by what is there afterwards', async () => {
  const {told, routes} = start('open');
  const both = [routes.set(true), routes.set(false), routes.set(true)];
  expect((await Promise.allSettled(both)).map(({status}) => status)).toEqual([
    'rejected',
    'fulfilled',
    'rejected',
  ]);
  expect(told).toEqual(['open', 'open']);
});
