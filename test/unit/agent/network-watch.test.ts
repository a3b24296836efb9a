import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {watchNetwork} from '../../../src/lib/agent/network-watch.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched() {
  const world = {addresses: '10.0.0.1', ahead: 1_000};
  const heard: string[] = [];
  const watch = watchNetwork({
    onChange: () => heard.push('change'),
    onWake: () => heard.push('wake'),
    read: () => world.addresses,
    ahead: () => world.ahead,
  });
  return {world, heard, watch};
}

test('another address is a change, once', () => {
  const {world, heard, watch} = watched();
  vi.advanceTimersByTime(5_000);
  world.addresses = '10.0.0.2';
  vi.advanceTimersByTime(5_000);
  expect(heard).toEqual(['change']);
  watch[Symbol.dispose]();
});

test('a wall clock that ran on alone is a wake, once; one that was put back or drifts is none', () => {
  const {world, heard, watch} = watched();
  vi.advanceTimersByTime(1_000);
  world.ahead += 3_600_000;
  vi.advanceTimersByTime(5_000);
  expect(heard).toEqual(['wake']);
  world.ahead -= 86_400_000;
  vi.advanceTimersByTime(5_000);
  world.ahead += 900;
  vi.advanceTimersByTime(5_000);
  expect(heard).toEqual(['wake']);
  watch[Symbol.dispose]();
});

test('nothing is said after the end', () => {
  const {world, heard, watch} = watched();
  watch[Symbol.dispose]();
  world.addresses = '10.0.0.2';
  vi.advanceTimersByTime(5_000);
  expect(heard).toEqual([]);
});
