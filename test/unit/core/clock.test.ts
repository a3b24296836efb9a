// The system clock: its waits have the requested length, and do not keep a process alive.

import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {systemClock} from '../../../src/lib/core/clock.js';

const day = 86_400_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.each([1, 1_000, 20 * day, 30 * day, 100 * day])('a wait of %d ms ends then and not earlier', (ms) => {
  const done = vi.fn();
  systemClock.after(ms, done);
  vi.advanceTimersByTime(ms - 1);
  expect(done).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(done).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});

test('a wait ends when its time has passed by the same clock', async () => {
  vi.useRealTimers();
  const waits = Array.from({length: 200}, async (_, at) => {
    await new Promise((resolve) => setTimeout(resolve, at / 4));
    const ms = 5 + at / 7;
    const due = systemClock.now() + ms;
    await new Promise<void>((resolve) => systemClock.after(ms, resolve));
    return systemClock.now() >= due;
  });
  expect(await Promise.all(waits)).not.toContain(false);
});

test('a wait can be cancelled in each of its pieces', () => {
  const done = vi.fn();
  const timer = systemClock.after(100 * day, done);
  vi.advanceTimersByTime(50 * day);
  timer.cancel();
  timer.cancel();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(100 * day);
  expect(done).not.toHaveBeenCalled();
});
