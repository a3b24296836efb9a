// Random bytes for many short values.

import {expect, test} from 'vitest';
import {RandomPool} from '../../../src/lib/core/random-pool.js';

test('no bytes come twice, of whatever size, and those that were taken do not change', () => {
  const {take} = new RandomPool();
  const sizes = [16, 3, 4_090, 32, 10_000, 16, 1];
  const taken = Array.from({length: 700}, (_, i) => take(sizes[i % sizes.length] ?? 1));
  expect(taken.map(({length}) => length)).toEqual(taken.map((_, i) => sizes[i % sizes.length]));
  const texts = () =>
    taken.filter(({length}) => length >= 16).map((bytes) => Buffer.from(bytes).toString('hex'));
  const before = texts();
  take(16);
  expect(texts()).toEqual(before);
  expect(new Set(before.map((text) => text.slice(0, 32))).size).toBe(before.length);
});
