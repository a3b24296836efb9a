import {describe, expect, test} from 'vitest';
import {WaitingVisitors} from '../../../../src/lib/relay/visitors/waiting-visitors.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

class Waiter {
  hasBegun = false;
  done = false;
  probes = 0;
  cutBy: string | undefined;
  probe(): void {
    this.probes += 1;
  }
  cut(code: string): void {
    this.cutBy = code;
    this.done = true;
  }
}

function setUp() {
  const clock = new ManualClock();
  const waiting = new WaitingVisitors({clock, waitMs: 20_000});
  const session: {detachedAt: number | undefined} = {detachedAt: undefined};
  const come = () => {
    const waiter = new Waiter();
    waiting.add(waiter, session);
    return waiter;
  };
  return {clock, waiting, session, come};
}

describe('a visitor who waits', () => {
  test('for a link that is lost is reset after its time', () => {
    const {clock, session, come} = setUp();
    session.detachedAt = 0;
    const early = come();
    clock.advance(10_000);
    const late = come();
    clock.advance(9_900);
    expect([early.cutBy, late.cutBy]).toEqual([undefined, undefined]);
    clock.advance(200);
    expect([early.cutBy, late.cutBy]).toEqual(['CANCELLED', undefined]);
    clock.advance(10_000);
    expect(late.cutBy).toBe('CANCELLED');
    clock.advance(1_000);
    expect(clock.pending).toBe(0);
  });

  test('for a link that is behind continues to wait, and is probed each second', () => {
    const {clock, come} = setUp();
    const waiter = come();
    clock.advance(60_000);
    expect([waiter.cutBy, waiter.probes]).toEqual([undefined, 60]);
    waiter.hasBegun = true;
    clock.advance(1_000);
    expect([waiter.probes, clock.pending]).toEqual([60, 0]);
  });

  test('has its whole time again when a link that was there is lost', () => {
    const {clock, session, come} = setUp();
    const waiter = come();
    clock.advance(30_000);
    session.detachedAt = 30_000;
    clock.advance(19_900);
    expect(waiter.cutBy).toBeUndefined();
    clock.advance(1_000);
    expect(waiter.cutBy).toBe('CANCELLED');
  });

  test('is not watched when its bytes flow, and no visitor is after the close', () => {
    const {clock, waiting, session} = setUp();
    const flowing = new Waiter();
    flowing.hasBegun = true;
    waiting.add(flowing, session);
    expect(clock.pending).toBe(0);
    waiting.add(new Waiter(), session);
    waiting.close();
    expect(clock.pending).toBe(0);
  });
});
