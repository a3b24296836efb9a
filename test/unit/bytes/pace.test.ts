// A rate lets as many bytes through as it says, and everybody who waits gets an equal part of them.

import {describe, expect, test} from 'vitest';
import {Lane, Rate} from '../../../src/lib/bytes/pace.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const MB = 1_000_000;

/** Always has another piece of this size. */
class Eager {
  passed = 0;
  readonly lane: Lane;
  readonly #piece: number;

  constructor(rates: readonly Rate[], piece: number) {
    this.#piece = piece;
    this.lane = new Lane(rates, () => {
      do this.#pass();
      while (this.lane.mayGoOn);
      this.lane.ask();
    });
  }

  begin(): void {
    while (this.lane.free) this.#pass();
    this.lane.ask();
  }

  #pass(): void {
    this.lane.spend(this.#piece);
    this.passed += this.#piece;
  }
}

const rate = (clock: ManualClock, bytesPerSecond: number | undefined) =>
  new Rate({clock, bytesPerSecond: () => bytesPerSecond});

describe.each([100_000, MB, 100 * MB])('%d bytes a second', (perSecond) => {
  test.each([
    [1, [65_536]],
    [10, [65_536]],
    [10, [1_000, 16_384, 65_536]],
  ])('of %d lanes with pieces of %j', (lanes, pieces) => {
    const clock = new ManualClock();
    const limit = rate(clock, perSecond);
    const all = Array.from(
      {length: lanes},
      (_, i) => new Eager([limit], pieces[i % pieces.length] as number),
    );
    for (const each of all) each.begin();
    // Each may pass one piece too early, which is made up for later.
    const seconds = 20;
    for (let i = 0; i < seconds * 100; i += 1) clock.advance(10);
    const passed = all.reduce((sum, each) => sum + each.passed, 0);
    expect(passed / seconds / perSecond).toBeGreaterThan(0.97);
    expect(passed / seconds / perSecond).toBeLessThan(1.03 + 65_536 / (perSecond * seconds));
    const mean = passed / lanes;
    for (const each of all) expect(Math.abs(each.passed - mean)).toBeLessThan(Math.max(0.05 * mean, 160_000));
  });
});

test('all limits apply: those of two tunnels of one owner, and the owner', () => {
  const clock = new ManualClock();
  const owner = rate(clock, 3 * MB);
  const slow = new Eager([rate(clock, MB), owner], 10_000);
  const fast = new Eager([rate(clock, 10 * MB), owner], 10_000);
  slow.begin();
  fast.begin();
  for (let i = 0; i < 500; i += 1) clock.advance(10);
  expect(slow.passed / 5 / MB).toBeCloseTo(1, 1);
  expect(fast.passed / 5 / MB).toBeCloseTo(2, 1);
});

test('a timer that comes late costs nothing, and a rest saves up little', () => {
  const clock = new ManualClock();
  const limit = rate(clock, MB);
  const eager = new Eager([limit], 10_000);
  eager.begin();
  for (let i = 0; i < 25; i += 1) clock.jump(200);
  expect(eager.passed / 5 / MB).toBeCloseTo(1, 1);
  eager.lane.end();
  clock.advance(60_000);
  const after = new Eager([limit], 10_000);
  after.begin();
  expect(after.passed).toBeLessThanOrEqual(70_000);
});

test('a limit that is changed or lifted applies at once to those who wait', () => {
  const clock = new ManualClock();
  let perSecond: number | undefined = MB;
  const limit = new Rate({clock, bytesPerSecond: () => perSecond});
  const eager = new Eager([limit], 10_000);
  eager.begin();
  clock.advance(1_000);
  const before = eager.passed;
  perSecond = 5 * MB;
  for (let i = 0; i < 100; i += 1) clock.advance(10);
  expect((eager.passed - before) / MB).toBeCloseTo(5, 0);
  let went = 0;
  const lane = new Lane([limit], () => {
    went += 1;
  });
  eager.lane.end();
  limit.spend(MB);
  expect(lane.free).toBe(false);
  lane.ask();
  perSecond = undefined;
  clock.advance(1_000);
  expect(went).toBe(1);
  expect(lane.free).toBe(true);
});

test('nothing is left when all have ended', () => {
  const clock = new ManualClock();
  const limit = rate(clock, MB);
  const all = Array.from({length: 5}, () => new Eager([limit], 65_536));
  for (const each of all) each.begin();
  clock.advance(100);
  for (const each of all) each.lane.end();
  expect(limit.busy).toBe(false);
  expect(clock.pending).toBe(0);
});
