import {describe, expect, test} from 'vitest';
import {ReceiveWindow} from '../../../src/lib/mux/window.js';
import {WindowBudget} from '../../../src/lib/mux/window-budget.js';
import {LIMITS} from '../../../src/lib/protocol/wire.js';

const MIB = 1024 * 1024;
const RTT = 200;

/** Reads `bytes` as they come, as fast as a link of 50 ms can carry them. */
function download(window: ReceiveWindow, bytes: number, now: number): void {
  const piece = 64 * 1024;
  for (let left = bytes; left > 0; left -= piece) {
    expect(window.receive(piece)).toBe(true);
    window.consume(piece, now, RTT);
  }
}

const windowsOf = (budget: WindowBudget, count: number) =>
  Array.from({length: count}, () => new ReceiveWindow(budget, 0));

test('a new limit of the budget stops growth, or allows more', () => {
  const budget = new WindowBudget(4 * MIB);
  const [first, second] = windowsOf(budget, 2) as [ReceiveWindow, ReceiveWindow];
  download(first, 200 * MIB, 0);
  const before = first.size;
  budget.setLimit(8 * MIB);
  download(first, 200 * MIB, 10);
  expect(first.size).toBeGreaterThan(before);
  budget.setLimit(1 * MIB);
  download(second, 20 * MIB, 20);
  expect(budget.used).toBeLessThanOrEqual(8 * MIB);
  expect(second.size).toBeLessThan(before);
});

describe('a session with streams that are idle after large downloads', () => {
  test('gives another download a large enough window', () => {
    const budget = new WindowBudget(64 * MIB);
    for (const window of windowsOf(budget, 5)) download(window, 200 * MIB, 0);
    expect(budget.used).toBeGreaterThan(48 * MIB);
    const late = new ReceiveWindow(budget, 5_000);
    download(late, 200 * MIB, 5_000);
    expect(late.size).toBe(LIMITS.maxWindow);
    expect(budget.used).toBeLessThanOrEqual(64 * MIB);
  });

  test('takes no credit back: the idle streams may use it, and grow again later', () => {
    const budget = new WindowBudget(17 * MIB);
    const [first, second] = windowsOf(budget, 2) as [ReceiveWindow, ReceiveWindow];
    download(first, 200 * MIB, 0);
    expect(first.size).toBe(LIMITS.maxWindow);
    download(second, 200 * MIB, 5_000);
    expect(second.size).toBe(LIMITS.maxWindow);
    expect(first.size).toBeLessThan(2 * MIB);
    // All its credit is used at once, and nobody reads yet.
    expect(first.receive(14 * MIB)).toBe(true);
    expect(first.fits).toBe(true);
    expect(second.size).toBeLessThan(4 * MIB);
    expect(budget.used).toBeLessThanOrEqual(17 * MIB);
    first.consume(14 * MIB, 10_000, RTT);
    download(first, 200 * MIB, 10_000);
    expect(first.size).toBe(LIMITS.maxWindow);
    expect(budget.used).toBeLessThanOrEqual(17 * MIB);
  });

  test('uses no more memory than its budget, whatever was granted before', () => {
    const budget = new WindowBudget(16 * MIB);
    const windows = windowsOf(budget, 5);
    for (const [i, window] of windows.entries()) download(window, 200 * MIB, i * 5_000);
    let held = 0;
    const full = windows.filter((window) => {
      expect(window.receive(14 * MIB)).toBe(true);
      if (!window.fits) return true;
      held += window.unread;
      return false;
    });
    expect(full.length).toBe(4);
    expect(held).toBeLessThanOrEqual(16 * MIB + LIMITS.initialWindow);
    expect(budget.used).toBeLessThanOrEqual(16 * MIB);
    for (const window of windows) window.release();
    expect(budget.used).toBe(0);
  });
});

describe('a session with more busy streams than its budget can serve', () => {
  test('gives each its share: the largest window shrinks until all are similar', () => {
    const budget = new WindowBudget(64 * MIB);
    const windows = windowsOf(budget, 16);
    for (let turn = 0; turn < 40; turn += 1) for (const window of windows) download(window, 16 * MIB, 0);
    const sizes = windows.map(({size}) => size);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(2 * MIB);
    expect(budget.used).toBeLessThanOrEqual(64 * MIB);
  });

  test('stays within the rest when its relay has no more budget', () => {
    const relay = new WindowBudget(4 * MIB);
    const [mine, other] = [new WindowBudget(64 * MIB, relay), new WindowBudget(64 * MIB, relay)];
    const [greedy] = windowsOf(mine, 1) as [ReceiveWindow];
    download(greedy, 200 * MIB, 0);
    const [late] = windowsOf(other, 1) as [ReceiveWindow];
    download(late, 200 * MIB, 0);
    expect(relay.used).toBeLessThanOrEqual(4 * MIB);
    expect(relay.used).toBe(mine.used + other.used);
    greedy.release();
    late.release();
    expect([relay.used, mine.used, other.used]).toEqual([0, 0, 0]);
  });
});

describe('a relay whose budget one session holds with idle windows', () => {
  const setUp = (count: number) => {
    const relay = new WindowBudget(32 * MIB);
    const [rich, poor] = [new WindowBudget(64 * MIB, relay), new WindowBudget(64 * MIB, relay)];
    const idle = windowsOf(rich, count);
    for (const [at, window] of idle.entries()) download(window, 200 * MIB, at);
    return {relay, rich, poor, idle};
  };

  test('lets another session grow, and takes from the longest idle first', () => {
    const {relay, rich, poor, idle} = setUp(2);
    const [first, second] = idle as [ReceiveWindow, ReceiveWindow];
    expect(relay.used).toBeGreaterThan(30 * MIB);
    const late = new ReceiveWindow(poor, 5_000);
    // A growth looks at the other sessions only once in 100 ms.
    for (let at = 0; at < 10; at += 1) download(late, 50 * MIB, 5_000 + 100 * at);
    expect(late.size).toBeGreaterThanOrEqual(8 * MIB);
    expect(first.size).toBe(LIMITS.initialWindow);
    expect(second.size).toBe(LIMITS.maxWindow);
    expect(relay.used).toBe(rich.used + poor.used);
    expect(relay.used).toBeLessThanOrEqual(32 * MIB);
    // What was granted stays granted: it takes room from whoever does not use it.
    expect(first.receive(14 * MIB)).toBe(true);
    expect(first.fits).toBe(true);
    expect(relay.used).toBeLessThanOrEqual(32 * MIB);
    for (const window of [first, second, late]) window.release();
    expect([relay.used, rich.used, poor.used]).toEqual([0, 0, 0]);
  });

  test('takes nothing from windows in use, nor from sessions that have less', () => {
    const {relay, rich, poor, idle} = setUp(2);
    const late = new ReceiveWindow(poor, 500);
    download(late, 200 * MIB, 500);
    expect(idle.map(({size}) => size)).toEqual([LIMITS.maxWindow, LIMITS.maxWindow]);
    expect(rich.used).toBe(2 * (LIMITS.maxWindow - LIMITS.initialWindow));
    const before = poor.used;
    const third = new ReceiveWindow(rich, 60_000);
    for (const window of idle) window.consume(0, 60_000, RTT);
    download(third, 50 * MIB, 60_000);
    expect(poor.used).toBe(before);
    expect(relay.used).toBeLessThanOrEqual(32 * MIB);
  });

  test('looks at the idle windows of others at most once in 100 ms', () => {
    const relay = new WindowBudget(8);
    const [rich, poor] = [new WindowBudget(100, relay), new WindowBudget(100, relay)];
    let looks = 0;
    const small = {size: 1, spare: 0, usedAt: 0, shrink: () => {}};
    const held = {
      ...small,
      get usedAt() {
        looks += 1;
        return 0;
      },
    };
    rich.grow(held, 8, 0);
    for (let at = 0; at < 1_000; at += 1) expect(poor.grow(small, 1, 10_000 + at)).toBe(false);
    expect(looks).toBe(10);
  });
});
