// Which sockets are asked whether their peer is still there.

import {Socket} from 'node:net';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {keepAlive} from '../../../src/lib/net/keep-alive.js';

beforeEach(() => void vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']}));
afterEach(() => void vi.useRealTimers());

function setUp() {
  const socket = new Socket();
  const set = vi.spyOn(socket, 'setKeepAlive').mockReturnValue(socket);
  return {socket, set};
}

test('one that has lived for a second, a third of the silence apart', () => {
  const {socket, set} = setUp();
  keepAlive(socket, 30_000);
  expect(set).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(set).toHaveBeenCalledTimes(1);
  expect(set.mock.calls[0]?.slice(0, 2)).toEqual([true, 30_000]);
  expect(vi.getTimerCount()).toBe(0);
});

test('none that is over by then, and none where it is turned off', () => {
  const [gone, off] = [setUp(), setUp()];
  keepAlive(gone.socket, 30_000);
  keepAlive(off.socket, 0);
  gone.socket.destroy();
  vi.advanceTimersByTime(1_000);
  expect([gone.set.mock.calls, off.set.mock.calls]).toEqual([[], []]);
});

test('those that come within the second are looked at together, later ones after another', () => {
  const [first, second, third] = [setUp(), setUp(), setUp()];
  keepAlive(first.socket);
  vi.advanceTimersByTime(900);
  keepAlive(second.socket);
  vi.advanceTimersByTime(100);
  keepAlive(third.socket);
  expect([first, second, third].map(({set}) => set.mock.calls.length)).toEqual([1, 1, 0]);
  vi.advanceTimersByTime(1_000);
  expect(third.set).toHaveBeenCalledTimes(1);
});
