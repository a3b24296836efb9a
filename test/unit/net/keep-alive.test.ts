// The sockets that get TCP keepalive are those that live longer.

import {Socket} from 'node:net';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {KeepAlive} from '../../../src/lib/net/keep-alive.js';

beforeEach(() => void vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']}));
afterEach(() => void vi.useRealTimers());

function setUp() {
  const socket = new Socket();
  const set = vi.spyOn(socket, 'setKeepAlive').mockReturnValue(socket);
  return {socket, set};
}

test('connections that have lived for a second get keepalive', () => {
  const {socket, set} = setUp();
  new KeepAlive(30_000).add(socket);
  expect(set).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(set).toHaveBeenCalledTimes(1);
  // An older Node sets no interval: its ten probes, a second apart, begin later.
  const takesIntervals = Socket.prototype.setKeepAlive.length >= 4;
  expect(set.mock.calls[0]?.slice(0, 2)).toEqual([true, takesIntervals ? 30_000 : 50_000]);
  expect(vi.getTimerCount()).toBe(0);
});

test('a connection that closes before that gets none, and none does when it is turned off', () => {
  const [gone, off] = [setUp(), setUp()];
  const keepAlive = new KeepAlive(30_000);
  const handle = keepAlive.add(gone.socket);
  new KeepAlive(0).add(off.socket);
  keepAlive.delete(handle);
  vi.advanceTimersByTime(1_000);
  expect([gone.set.mock.calls, off.set.mock.calls]).toEqual([[], []]);
});

test('connections that come within the same second are handled together, later ones separately', () => {
  const [first, second, third] = [setUp(), setUp(), setUp()];
  const keepAlive = new KeepAlive();
  keepAlive.add(first.socket);
  vi.advanceTimersByTime(900);
  keepAlive.add(second.socket);
  vi.advanceTimersByTime(100);
  keepAlive.add(third.socket);
  expect([first, second, third].map(({set}) => set.mock.calls.length)).toEqual([1, 1, 0]);
  vi.advanceTimersByTime(1_000);
  expect(third.set).toHaveBeenCalledTimes(1);
});
