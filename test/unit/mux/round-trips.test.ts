import {expect, test} from 'vitest';
import {RoundTrips} from '../../../src/lib/mux/round-trips.js';

test('nothing is known before the first answer', () => {
  const trips = new RoundTrips();
  expect([trips.shortestMs, trips.lastMs]).toEqual([Number.POSITIVE_INFINITY, undefined]);
});

test('the shortest stays, the last changes', () => {
  const trips = new RoundTrips();
  let now = 0;
  for (const ms of [30, 10, 20]) {
    const ping = trips.ping(now);
    trips.pong(ping, now + ms);
    now += 5_000;
  }
  expect([trips.shortestMs, trips.lastMs]).toEqual([10, 20]);
});

test('a new link is measured three times in a row', () => {
  const trips = new RoundTrips();
  expect([0, 1, 2, 3].map((now) => trips.pong(trips.ping(now), now))).toEqual([true, true, false, false]);
});

test('an answer to an older ping, a second answer and one without a ping measure nothing', () => {
  const trips = new RoundTrips();
  expect(trips.pong(Buffer.alloc(8), 1)).toBe(false);
  const older = trips.ping(0);
  const newer = trips.ping(100);
  trips.pong(older, 150);
  expect(trips.lastMs).toBeUndefined();
  trips.pong(newer, 160);
  trips.pong(newer, 900);
  expect(trips.lastMs).toBe(60);
});

test('an idle link gets a ping once a second, and none while one is under way', () => {
  const trips = new RoundTrips();
  expect(trips.isDue(0)).toBe(true);
  const ping = trips.ping(0);
  expect(trips.isDue(60_000)).toBe(false);
  trips.pong(ping, 10);
  expect([999, 1_000].map((now) => trips.isDue(now))).toEqual([false, true]);
});
