// The waits between attempts: full jitter under an upper bound that doubles, up to a cap, and from the start after a stable
// link.

import {expect, test} from 'vitest';
import {Backoff, type BackoffOptions} from '../../../src/lib/core/backoff.js';
import {ManualClock} from '../../helpers/manual-clock.js';

function backoff(options: BackoffOptions = {}) {
  const clock = new ManualClock();
  return {clock, backoff: new Backoff({clock, random: () => 1, ...options})};
}

const times = <T>(count: number, what: () => T): T[] => Array.from({length: count}, what);

test('the upper bound doubles from 250 ms to 20 s', () => {
  const {backoff: waits} = backoff();
  expect(times(9, () => waits.next())).toEqual([
    250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000,
  ]);
  expect(times(1_000, () => waits.next()).at(-1)).toBe(20_000);
});

test('all waits under the upper bound are equally likely', () => {
  const draws = [0, 0.5, 0.25];
  const {backoff: waits} = backoff({random: () => draws.shift() ?? 0});
  expect(times(3, () => waits.next())).toEqual([0, 250, 250]);
});

test('the peer’s requested wait comes before the jitter', () => {
  const {backoff: waits} = backoff();
  expect(waits.next({atLeastMs: 7_000})).toBe(7_250);
});

test('a link that held for a minute resets the back-off, a shorter one does not', () => {
  const {clock, backoff: waits} = backoff();
  times(4, () => waits.next());
  waits.succeeded();
  clock.advance(59_999);
  expect(waits.next()).toBe(4_000);
  waits.succeeded();
  clock.advance(60_000);
  expect(waits.next()).toBe(250);
});

test('waits after attempts without an answer stay short, and so does the first one after them', () => {
  const {backoff: waits} = backoff();
  waits.next();
  expect(times(20, () => waits.nextUnanswered())).toEqual(times(20, () => 2_000));
  expect(waits.next()).toBe(500);
});

test('a link that has carried data resets the back-off, however short it was', () => {
  const {backoff: waits} = backoff();
  times(4, () => waits.next());
  waits.succeeded();
  waits.proven();
  expect(waits.next()).toBe(250);
});

test('a wait with a lower cap stays under it, and the next one grows from there', () => {
  const {backoff: waits} = backoff();
  expect(times(6, () => waits.next({capMs: 2_500}))).toEqual([250, 500, 1_000, 2_000, 2_500, 2_500]);
  expect(waits.next()).toBe(16_000);
});

test('a wait within a time ends in the second half of it', () => {
  expect(backoff().backoff.nextWithin(1_000)).toBe(1_000);
  expect(backoff({random: () => 0}).backoff.nextWithin(1_000)).toBe(500);
});
