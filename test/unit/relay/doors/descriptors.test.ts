// Shortage of descriptors, and the reserve.

import {closeSync, openSync} from 'node:fs';
import {expect, test} from 'vitest';
import {Descriptors} from '../../../../src/lib/relay/doors/descriptors.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

function setUp(limit: number | undefined) {
  const clock = new ManualClock();
  const state = {connections: 0, others: 24, looks: 0, limit};
  const descriptors = new Descriptors({
    clock,
    connections: () => state.connections,
    system: {
      limit: () => state.limit,
      lowestFree: () => {
        state.looks += 1;
        const free = state.connections + state.others;
        return limit !== undefined && free >= limit ? undefined : free;
      },
    },
  });
  const now = () => [descriptors.noneForVisitors, descriptors.noneForConnections];
  return {clock, state, now};
}

test('an eighth is reserved for agents and new connections, a quarter of that for files', () => {
  const {state, now} = setUp(1_024);
  state.connections = 1_024 - 24 - 128 - 1;
  expect(now()).toEqual([false, false]);
  state.connections += 1;
  expect(now()).toEqual([true, false]);
  state.connections = 1_024 - 24 - 32 - 1;
  expect(now()).toEqual([true, false]);
  state.connections += 1;
  expect(now()).toEqual([true, true]);
});

test('of a large number 1,024 are reserved, of a tiny one 32', () => {
  const large = setUp(1_000_000);
  large.state.connections = 1_000_000 - 24 - 1_025;
  expect(large.now()).toEqual([false, false]);
  large.state.connections += 1;
  expect(large.now()).toEqual([true, false]);
  const tiny = setUp(100);
  tiny.state.connections = 100 - 24 - 32;
  expect(tiny.now()).toEqual([true, false]);
});

test('descriptors that are not connections are noticed within a second, or within 64 connections', () => {
  const {clock, state, now} = setUp(1_024);
  expect(now()).toEqual([false, false]);
  state.others = 990;
  expect(now()).toEqual([false, false]);
  clock.advance(1_000);
  expect(now()).toEqual([true, false]);
  state.others = 24;
  clock.advance(1_000);
  expect(now()).toEqual([false, false]);
  const {looks} = state;
  state.connections += 63;
  now();
  expect(state.looks).toBe(looks);
  state.connections += 1;
  now();
  expect(state.looks).toBe(looks + 1);
});

test('with none left at all, not even the limit can be read: the last known one applies', () => {
  const {clock, state, now} = setUp(1_024);
  now();
  state.connections = 0;
  state.others = 1_024;
  state.limit = undefined;
  clock.advance(1_000);
  expect(now()).toEqual([true, true]);
});

test('without a known limit nothing is refused', () => {
  const {state, now} = setUp(undefined);
  state.connections = 10_000_000;
  expect(now()).toEqual([false, false]);
});

test('this process has descriptors left', () => {
  const descriptors = new Descriptors({clock: new ManualClock(), connections: () => 0});
  expect([descriptors.noneForVisitors, descriptors.noneForConnections]).toEqual([false, false]);
  closeSync(openSync('/dev/null', 'r'));
});
