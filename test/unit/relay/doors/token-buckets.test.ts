// The amount that a source may spend, and when it gets it back.

import {expect, test} from 'vitest';
import {TokenBuckets} from '../../../../src/lib/relay/doors/token-buckets.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

function setUp() {
  const clock = new ManualClock();
  return {clock, buckets: new TokenBuckets({burst: 10, perSecond: 2, clock})};
}

test('a burst may be spent at once, and the tokens come back in time', () => {
  const {clock, buckets} = setUp();
  for (let i = 0; i < 10; i++) {
    expect(buckets.has('a')).toBe(true);
    buckets.spend('a');
  }
  expect([buckets.has('a'), buckets.waitMs('a')]).toEqual([false, 500]);
  clock.advance(499);
  expect(buckets.has('a')).toBe(false);
  clock.advance(2);
  expect([buckets.has('a'), buckets.waitMs('a')]).toEqual([true, 0]);
});

test('each source has its own', () => {
  const {buckets} = setUp();
  buckets.spend('a', 10);
  expect([buckets.has('a'), buckets.has('b')]).toEqual([false, true]);
});

test('failures at the same time cost a debt of at most one burst', () => {
  const {clock, buckets} = setUp();
  buckets.spend('a', 1_000_000);
  clock.advance(5_499);
  expect(buckets.has('a')).toBe(false);
  clock.advance(2);
  expect(buckets.has('a')).toBe(true);
});

test('sources without debts are forgotten, and no number of sources fills the memory', () => {
  const {clock, buckets} = setUp();
  for (let i = 0; i < 100_000; i++) buckets.spend(`a${i}`);
  expect(buckets.size).toBe(16_384);
  clock.advance(1_000);
  for (let i = 0; i < 20_000; i++) buckets.spend(`b${i}`, 10);
  expect(buckets.size).toBeLessThanOrEqual(16_384);
  expect(buckets.has('b19999')).toBe(false);
});
