import {expect, test} from 'vitest';
import {Throttle} from '../../../src/lib/cli/throttle.js';

test('shows a limited number a second and counts the rest', () => {
  let now = 0;
  const throttle = new Throttle({now: () => now, after: () => ({cancel() {}}), soon: () => {}});
  const first = Array.from({length: 50}, () => throttle.admit());
  expect(first.filter(({shown}) => shown)).toHaveLength(20);
  expect(first.every(({hidden}) => hidden === 0)).toBe(true);
  now = 999;
  expect(throttle.admit().shown).toBe(false);
  now = 1000;
  expect(throttle.admit()).toEqual({shown: true, hidden: 31});
  expect(throttle.admit()).toEqual({shown: true, hidden: 0});
});
