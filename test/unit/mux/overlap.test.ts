// An old link and a new one that bring the same bytes: the counts, the new bytes, and the time of the ack.

import {expect, test} from 'vitest';
import {Acks} from '../../../src/lib/mux/acks.js';
import {Overlap} from '../../../src/lib/mux/overlap.js';
import {LIMITS} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';

function setUp() {
  const clock = new ManualClock();
  const told: number[] = [];
  const acks: Acks = new Acks({
    clock,
    onDue: () => {
      const count = acks.take();
      if (count !== undefined) told.push(count);
    },
    onOverdue: () => {},
  });
  return {acks, overlap: new Overlap(acks), told, settleTime: () => clock.advance(LIMITS.ackDelayMs)};
}

const bytes = (length: number) => Buffer.alloc(length);

test('from the hello on nothing is acknowledged, and after a failed handshake it is', () => {
  const {acks, overlap, told, settleTime} = setUp();
  acks.count(10);
  expect(overlap.offer()).toBe(10);
  acks.count(5);
  acks.later();
  settleTime();
  expect(told).toEqual([]);
  overlap.settle();
  settleTime();
  expect(told).toEqual([15]);
});

test('the last of several hellos releases the acks', () => {
  const {acks, overlap, told, settleTime} = setUp();
  overlap.offer();
  overlap.offer();
  acks.count(10);
  overlap.settle();
  settleTime();
  expect(told).toEqual([]);
  overlap.settle();
  settleTime();
  expect(told).toEqual([10]);
});

test('bytes that the old link brought after the hello are skipped on the new one, and acknowledged when all of them have come', () => {
  const {acks, overlap, told, settleTime} = setUp();
  acks.count(10);
  const offered = overlap.offer();
  acks.count(100);
  overlap.begin(offered);
  overlap.settle();
  expect(overlap.repeats).toBe(true);
  expect(overlap.skip(bytes(60))).toBeUndefined();
  settleTime();
  expect(told).toEqual([]);
  expect(overlap.skip(Buffer.concat([bytes(40), Buffer.from('new')]))?.toString()).toBe('new');
  expect(overlap.repeats).toBe(false);
  settleTime();
  expect(told).toEqual([110]);
});

test('a piece that ends with the repeated bytes has nothing new', () => {
  const {acks, overlap} = setUp();
  const offered = overlap.offer();
  acks.count(7);
  overlap.begin(offered);
  overlap.settle();
  expect(overlap.skip(bytes(7))).toBeUndefined();
  expect(overlap.repeats).toBe(false);
});

test('a link whose hello had the full count repeats nothing', () => {
  const {acks, overlap, told, settleTime} = setUp();
  acks.count(10);
  overlap.begin(undefined);
  expect(overlap.repeats).toBe(false);
  acks.count(1);
  acks.later();
  settleTime();
  expect(told).toEqual([11]);
});
