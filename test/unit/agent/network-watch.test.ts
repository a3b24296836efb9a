import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {NetworkLook} from '../../../src/lib/agent/network-watch.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched() {
  const world = {addresses: '10.0.0.1', ahead: 1_000};
  const heard: string[] = [];
  const look = new NetworkLook({addresses: () => world.addresses, ahead: () => world.ahead});
  const watch = look.add({onChange: () => heard.push('change'), onWake: () => heard.push('wake')});
  return {world, heard, look, watch};
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
  const look = new NetworkLook({
    addresses: () => {
      const read = addresses.shift();
      // Like os.networkInterfaces when no descriptor is left.
      if (read === undefined) throw new Error('uv_interface_addresses returned EMFILE');
      return read;
    },
    ahead: () => 0,
  });
  const watch = look.add({onChange: () => heard.push('change'), onWake: () => heard.push('wake')});
  vi.advanceTimersByTime(5_000);
  expect(heard).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(heard).toEqual(['change']);
  watch[Symbol.dispose]();
});

test('many watches cost one look a second, and none after the last has ended', () => {
  let looks = 0;
  const heard: number[] = [];
  const addresses = () => {
    looks += 1;
    return String(looks);
  };
  const look = new NetworkLook({addresses, ahead: () => 0});
  const watches = [1, 2, 3].map((each) => look.add({onChange: () => heard.push(each), onWake: () => {}}));
  const before = looks;
  vi.advanceTimersByTime(2_000);
  expect(looks - before).toBe(2);
  expect(heard).toEqual([1, 2, 3, 1, 2, 3]);
  for (const watch of watches) watch[Symbol.dispose]();
  vi.advanceTimersByTime(5_000);
  expect(looks - before).toBe(2);
});

test('a watch that another one has ended is not told any more, and a change while there was none is none', () => {
  const world = {addresses: 'a', ahead: 0};
  const look = new NetworkLook({addresses: () => world.addresses, ahead: () => world.ahead});
  const heard: string[] = [];
  const first = look.add({onChange: () => second[Symbol.dispose](), onWake: () => {}});
  const second = look.add({onChange: () => heard.push('second'), onWake: () => {}});
  world.addresses = 'b';
  vi.advanceTimersByTime(1_000);
  first[Symbol.dispose]();
  world.addresses = 'c';
  world.ahead = 10_000;
  const third = look.add({onChange: () => heard.push('third'), onWake: () => heard.push('wake')});
  vi.advanceTimersByTime(2_000);
  expect(heard).toEqual([]);
  third[Symbol.dispose]();
});
