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

test('a wall clock that jumps forward alone is a wake, once; one that is set back or drifts is not', () => {
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

test('nothing is reported after the end', () => {
  const {world, heard, watch} = watched();
  watch[Symbol.dispose]();
  world.addresses = '10.0.0.2';
  vi.advanceTimersByTime(5_000);
  expect(heard).toEqual([]);
});

test('a machine that cannot list its addresses for a while has not changed them', () => {
  const addresses: Array<string | undefined> = [undefined, 'a', 'a', undefined, 'a', undefined, 'b'];
  const heard: string[] = [];
  const watch = watchNetwork({
    onChange: () => heard.push('change'),
    onWake: () => heard.push('wake'),
    read: () => {
      const read = addresses.shift();
      // Like os.networkInterfaces when no descriptor is left.
      if (read === undefined) throw new Error('uv_interface_addresses returned EMFILE');
      return read;
    },
    ahead: () => 0,
  });
  vi.advanceTimersByTime(5_000);
  expect(heard).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(heard).toEqual(['change']);
  watch[Symbol.dispose]();
});
