import {expect, test} from 'vitest';
import {duration, durationText} from '../../../src/lib/core/duration.js';
import {TunlError} from '../../../src/lib/core/errors.js';

test.each([
  ['250ms', 250],
  ['30s', 30_000],
  ['90m', 5_400_000],
  ['2h', 7_200_000],
  [' 2H ', 7_200_000],
  ['1h30m', 5_400_000],
  ['0.5s', 500],
  ['7d', 604_800_000],
  ['0s', 0],
])('%s', (text, ms) => {
  expect(duration(text)).toBe(ms);
});

test.each([
  '',
  '5',
  '-1h',
  'h',
  '1 h',
  '1h xyz',
  '1y',
  '1e3s',
  '1.s',
  '2h;rm',
  'constructor',
  '9'.repeat(400),
])('%j is refused', (text) => {
  expect(() => duration(text)).toThrow(TunlError);
});

test.each([
  [0, '0s'],
  [1, '1ms'],
  [90_000, '90s'],
  [600_000, '10m'],
  [3650 * 86_400_000, '3650d'],
])('%d ms is %s, and is read as the same', (ms, text) => {
  expect(durationText(ms)).toBe(text);
  expect(duration(text)).toBe(ms);
});
