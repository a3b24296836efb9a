import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {ReceiveWindow, SendWindow} from '../../../src/lib/mux/window.js';
import {WindowBudget} from '../../../src/lib/mux/window-budget.js';
import {LIMITS} from '../../../src/lib/protocol/wire.js';

const NEVER = -1;
const ALWAYS = Number.MAX_SAFE_INTEGER;

type Op =
  | {op: 'send' | 'arrive' | 'consume' | 'shrink'; share: number}
  | {op: 'creditArrives'}
  | {op: 'time'; ms: number};

const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof(
    fc.record({
      op: fc.constantFrom('send' as const, 'arrive' as const, 'consume' as const, 'shrink' as const),
      share: fc.double({min: 0, max: 1, noNaN: true}),
    }),
    fc.record({op: fc.constant('creditArrives' as const)}),
    fc.record({op: fc.constant('time' as const), ms: fc.integer({min: 0, max: 50})}),
  ),
  {maxLength: 300},
);

describe('the two halves of a window', () => {
  test('bytes are conserved: sendable, under way, unread and granted bytes add up to the window', () => {
    fc.assert(
      fc.property(ops, fc.integer({min: 0, max: 20}), (steps, growWithinMs) => {
        const sender = new SendWindow();
        const budget = new WindowBudget(64 * 1024 * 1024);
        const receiver = new ReceiveWindow(budget, 0);
        let now = 0;
        let underWay = 0;
        let unread = 0;
        let shrunk = false;
        const credits: number[] = [];
        const creditUnderWay = () => credits.reduce((sum, each) => sum + each, 0);
        const check = () => {
          expect(receiver.unread).toBe(unread);
          expect(receiver.size).toBeLessThanOrEqual(LIMITS.maxWindow);
          const accounted = sender.available + underWay + unread + creditUnderWay();
          if (!shrunk) {
            expect(receiver.size).toBe(LIMITS.initialWindow + budget.used);
            expect(unread).toBeLessThanOrEqual(receiver.size);
            expect(accounted).toBeLessThanOrEqual(receiver.size);
            // The rest was consumed and not granted yet: less than half a window, and less than 1 MiB.
            expect(receiver.size - accounted).toBeLessThan(Math.min(receiver.size / 2, 1024 * 1024));
          }
          // At any time unread bytes are covered by the budget, or by the window that every stream has.
          expect(unread).toBeLessThanOrEqual(LIMITS.initialWindow + budget.used);
          expect(budget.used).toBeLessThanOrEqual(Math.max(receiver.size, unread) - LIMITS.initialWindow);
        };
        for (const step of steps) {
          switch (step.op) {
            case 'send': {
              const bytes = Math.floor(step.share * sender.available);
              sender.spend(bytes);
              underWay += bytes;
              break;
            }
            case 'arrive': {
              const bytes = Math.floor(step.share * underWay);
              expect(receiver.receive(bytes)).toBe(true);
              expect(receiver.fits).toBe(true);
              underWay -= bytes;
              unread += bytes;
              break;
            }
            case 'consume': {
              const bytes = Math.floor(step.share * unread);
              unread -= bytes;
              const credit = receiver.consume(bytes, now, growWithinMs);
              if (credit > 0) credits.push(credit);
              break;
            }
            case 'shrink': {
              const bytes = Math.floor(step.share * Math.max(0, receiver.spare));
              shrunk ||= bytes > 0;
              receiver.shrink(bytes);
              break;
            }
            case 'creditArrives': {
              const credit = credits.shift();
              if (credit !== undefined) expect(sender.grant(credit)).toBe(true);
              break;
            }
            case 'time':
              now += step.ms;
          }
          check();
        }
        // Everything is read and all credit delivered: the sender has at least half a window.
        for (const credit of credits.splice(0)) sender.grant(credit);
        expect(receiver.receive(underWay)).toBe(true);
        expect(receiver.fits).toBe(true);
        sender.grant(receiver.consume(unread + underWay, now, NEVER) || 1);
        expect(sender.available).toBeGreaterThan(receiver.size / 2 - 2);
        receiver.release();
        expect(budget.used).toBe(0);
      }),
    );
  });

  test('bytes that are read in small steps are granted in pieces of at least half a window', () => {
    const receiver = new ReceiveWindow(new WindowBudget(0), 0);
    expect(receiver.receive(LIMITS.initialWindow)).toBe(true);
    expect(receiver.consume(LIMITS.initialWindow / 2 - 1, 0, NEVER)).toBe(0);
    expect(receiver.consume(1, 0, NEVER)).toBe(LIMITS.initialWindow / 2);
    expect(receiver.consume(LIMITS.initialWindow / 2, 0, NEVER)).toBe(LIMITS.initialWindow / 2);
  });

  describe('grows', () => {
    const chunk = 64 * 1024;
    const use = (receiver: ReceiveWindow, bytes: number, now: number, growWithinMs: number) => {
      for (let left = bytes; left > 0; left -= chunk) {
        expect(receiver.receive(chunk)).toBe(true);
        receiver.consume(chunk, now, growWithinMs);
      }
    };

    test('with the first one that is used up in time on a long link, up to the largest', () => {
      const receiver = new ReceiveWindow(new WindowBudget(2 * LIMITS.maxWindow), 0);
      use(receiver, receiver.size, 0, 200);
      expect(receiver.size).toBe(2 * LIMITS.initialWindow);
      use(receiver, 4 * LIMITS.maxWindow, 0, 200);
      expect(receiver.size).toBe(LIMITS.maxWindow);
    });

    test('on a short link only after more was read without a pause than the kernel buffers, and less far', () => {
      const receiver = new ReceiveWindow(new WindowBudget(2 * LIMITS.maxWindow), 0);
      const most = 16 * 1024 * 1024;
      use(receiver, most - LIMITS.initialWindow, 0, 1);
      // Too late once: the count begins again.
      use(receiver, LIMITS.initialWindow, 9, 1);
      use(receiver, most - LIMITS.initialWindow, 9, 1);
      expect(receiver.size).toBe(LIMITS.initialWindow);
      use(receiver, LIMITS.initialWindow, 9, 1);
      expect(receiver.size).toBe(2 * LIMITS.initialWindow);
      use(receiver, 4 * most, 9, 1);
      expect(receiver.size).toBe(4 * 1024 * 1024);
    });
  });

  test('a large one grants each MiB, so that a long link can use all of it', () => {
    const receiver = new ReceiveWindow(new WindowBudget(LIMITS.maxWindow), 0);
    while (receiver.size < LIMITS.maxWindow) {
      expect(receiver.receive(64 * 1024)).toBe(true);
      receiver.consume(64 * 1024, 0, 200);
    }
    let granted = 0;
    let credits = 0;
    for (let read = 0; read < 8 * 1024 * 1024; read += 64 * 1024) {
      expect(receiver.receive(64 * 1024)).toBe(true);
      const credit = receiver.consume(64 * 1024, 0, NEVER);
      granted += credit;
      if (credit > 0) credits += 1;
    }
    expect(granted).toBeGreaterThan(7 * 1024 * 1024);
    expect(credits).toBeLessThanOrEqual(9);
  });
});

describe('a send window', () => {
  test('cannot be overdrawn', () => {
    const window = new SendWindow(10);
    window.spend(10);
    expect(() => window.spend(1)).toThrow(RangeError);
    expect(window.available).toBe(0);
  });

  test('refuses a grant of 0 and one beyond the largest credit', () => {
    const window = new SendWindow(10);
    expect(window.grant(0)).toBe(false);
    expect(window.grant(-1)).toBe(false);
    expect(window.grant(LIMITS.maxCredit)).toBe(false);
    expect(window.available).toBe(10);
    expect(window.grant(LIMITS.maxCredit - 10)).toBe(true);
    expect(window.grant(1)).toBe(false);
    expect(window.available).toBe(LIMITS.maxCredit);
  });
});

describe('a receive window', () => {
  test('refuses one byte more than its credit, and stays unchanged', () => {
    const window = new ReceiveWindow(new WindowBudget(0), 0);
    expect(window.receive(LIMITS.initialWindow + 1)).toBe(false);
    expect(window.unread).toBe(0);
    expect(window.receive(LIMITS.initialWindow)).toBe(true);
    expect(window.receive(1)).toBe(false);
    expect(window.unread).toBe(LIMITS.initialWindow);
  });

  test('never takes back more than is unread: counting twice grants nothing extra', () => {
    const window = new ReceiveWindow(new WindowBudget(0), 0);
    window.receive(200_000);
    expect(window.consume(400_000, 0, NEVER)).toBe(200_000);
    expect(window.unread).toBe(0);
    expect(window.consume(200_000, 0, NEVER)).toBe(0);
  });

  function useUp(window: ReceiveWindow, now: number, growWithinMs: number): number {
    const size = window.size;
    expect(window.receive(size)).toBe(true);
    return window.consume(size, now, growWithinMs);
  }

  test('doubles when it is used up in time, up to the largest window', () => {
    const budget = new WindowBudget(64 * 1024 * 1024);
    const window = new ReceiveWindow(budget, 0);
    for (let size: number = LIMITS.initialWindow; size < LIMITS.maxWindow; size *= 2) {
      expect(window.size).toBe(size);
      // The credit is the read bytes and the growth of the window.
      expect(useUp(window, 0, ALWAYS)).toBe(2 * size);
    }
    expect(window.size).toBe(LIMITS.maxWindow);
    expect(useUp(window, 0, ALWAYS)).toBe(LIMITS.maxWindow);
    expect(window.size).toBe(LIMITS.maxWindow);
    expect(budget.used).toBe(LIMITS.maxWindow - LIMITS.initialWindow);
  });

  test('stays the same when it is used up slowly', () => {
    const window = new ReceiveWindow(new WindowBudget(64 * 1024 * 1024), 0);
    useUp(window, 101, 100);
    expect(window.size).toBe(LIMITS.initialWindow);
    useUp(window, 201, 100);
    expect(window.size).toBe(2 * LIMITS.initialWindow);
  });

  test('grows only within the budget, and gives back what it took, once', () => {
    const whole = new WindowBudget(5 * LIMITS.initialWindow);
    const budget = new WindowBudget(3 * LIMITS.initialWindow, whole);
    const first = new ReceiveWindow(budget, 0);
    const second = new ReceiveWindow(budget, 0);
    useUp(first, 0, ALWAYS);
    useUp(first, 0, ALWAYS);
    expect(first.size).toBe(4 * LIMITS.initialWindow);
    useUp(second, 0, ALWAYS);
    // At its share, not beyond the budget.
    expect([first.size, second.size]).toEqual([3 * LIMITS.initialWindow, 2 * LIMITS.initialWindow]);
    expect(budget.used).toBe(3 * LIMITS.initialWindow);
    useUp(second, 0, ALWAYS);
    expect(second.size).toBe(2 * LIMITS.initialWindow);
    second.release();
    first.release();
    first.release();
    expect(budget.used).toBe(0);
    expect(whole.used).toBe(0);
  });
});

describe('a budget', () => {
  test('takes nothing from itself when its parent has nothing left', () => {
    const parent = new WindowBudget(10);
    const child = new WindowBudget(100, parent);
    const window = {size: 1, usedAt: 0, spare: 0, shrink: () => {}};
    expect(child.grow(window, 11, 0)).toBe(false);
    expect(child.used).toBe(0);
    expect(child.grow(window, 10, 0)).toBe(true);
    expect(new WindowBudget(100, parent).grow(window, 1, 0)).toBe(false);
    child.give(10);
    expect(parent.used).toBe(0);
  });
});
