import {expect, test} from 'vitest';
import {bytes, count, time} from '../../../src/lib/cli/format.js';

test.each([
  [0, '0 connections'],
  [1, '1 connection'],
  [2, '2 connections'],
])('count %i', (amount, text) => {
  expect(count(amount, 'connection')).toBe(text);
});

test.each([
  [0, '0 ms'],
  [41.4, '41 ms'],
  [999, '999 ms'],
  [1000, '1 s'],
  [3104, '3.1 s'],
  [60_000, '60 s'],
  [119_999, '120 s'],
  [120_000, '2 min'],
  [600_000, '10 min'],
  [7_200_000, '2 h'],
  [9_000_000, '2.5 h'],
])('time %d', (ms, text) => {
  expect(time(ms)).toBe(text);
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 kB'],
  [5120, '5.1 kB'],
  [999_499, '999 kB'],
  [999_600, '1 MB'],
  [1_234_567_890, '1.2 GB'],
])('bytes %d', (amount, text) => {
  expect(bytes(amount)).toBe(text);
});
