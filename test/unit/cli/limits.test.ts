// The time limits of a tunnel: --expires and --idle-timeout.

import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import type {TunnelEvent} from '../../../src/lib/agent/events.js';
import {Limits} from '../../../src/lib/cli/limits.js';
import {NOTHING_YET, nextState} from '../../../src/lib/cli/tunnel-state.js';
import {visit} from './visit.js';

const DAY_MS = 86_400_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('--expires, also for longer than Node’s longest timer', () => {
  const ends: string[] = [];
  using limits = new Limits({expiresMs: 40 * DAY_MS});
  limits.begin((reason) => ends.push(reason));
  vi.advanceTimersByTime(40 * DAY_MS - 1);
  expect(ends).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ends).toEqual(['expired']);
});

test('--expires counts the time that the machine sleeps', () => {
  const ends: string[] = [];
  using limits = new Limits({expiresMs: DAY_MS});
  limits.begin((reason) => ends.push(reason));
  vi.advanceTimersByTime(1000);
  vi.setSystemTime(Date.now() + DAY_MS);
  vi.advanceTimersByTime(60_000);
  expect(ends).toEqual(['expired']);
});

test('a clock that is set back does not put off the end of --expires', () => {
  const ends: string[] = [];
  using limits = new Limits({expiresMs: DAY_MS});
  limits.begin((reason) => ends.push(reason));
  vi.advanceTimersByTime(1000);
  vi.setSystemTime(Date.now() - DAY_MS);
  vi.advanceTimersByTime(DAY_MS - 1001);
  expect(ends).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ends).toEqual(['expired']);
});

test('--idle-timeout counts from the end of the last visit', () => {
  const ends: string[] = [];
  using limits = new Limits({idleMs: 1000});
  let state = NOTHING_YET;
  const see = (event: TunnelEvent) => {
    state = nextState(state, event, 0);
    limits.see(state.visitors);
  };
  limits.begin((reason) => ends.push(reason));
  vi.advanceTimersByTime(900);
  see(visit('open'));
  see(visit('open'));
  vi.advanceTimersByTime(5000);
  see(visit('closed'));
  vi.advanceTimersByTime(5000);
  see(visit('refused'));
  see(visit('closed'));
  vi.advanceTimersByTime(500);
  // Events that are not visits change nothing.
  see({type: 'resumed', awayMs: 1, resumed: 0, lost: 0});
  vi.advanceTimersByTime(499);
  expect(ends).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ends).toEqual(['idle']);
});

test('only one end, and none after its disposal', () => {
  const ends: string[] = [];
  const both = new Limits({expiresMs: 10, idleMs: 10});
  both.begin((reason) => ends.push(reason));
  vi.advanceTimersByTime(100);
  expect(ends).toHaveLength(1);
  const disposed = new Limits({expiresMs: 10, idleMs: 10});
  disposed.begin((reason) => ends.push(reason));
  disposed[Symbol.dispose]();
  disposed.see({open: 0, total: 1});
  vi.advanceTimersByTime(100);
  expect(ends).toHaveLength(1);
});
