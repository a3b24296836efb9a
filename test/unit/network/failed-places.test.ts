import {expect, test} from 'vitest';
import {FailedPlaces} from '../../../src/lib/network/failed-places.js';

function places() {
  let now = 0;
  const failed = new FailedPlaces({now: () => now});
  return {
    failed,
    /** How long the place is left alone from now on. */
    waitOf(place: string): number {
      const from = now;
      while (!failed.mayTry(place)) now += 10;
      return now - from;
    },
  };
}

test('a place that nobody has tried may be tried', () => {
  expect(places().failed.mayTry('here')).toBe(true);
});

test('a place is left alone for the same time after each failure', () => {
  const {failed, waitOf} = places();
  const waits = [1, 2, 3].map(() => {
    failed.failed('here', 100);
    return waitOf('here');
  });
  expect(waits).toEqual([100, 100, 100]);
});

test('the wait doubles up to its longest, and begins anew when the place has worked', () => {
  const {failed, waitOf} = places();
  const wait = () => {
    failed.failed('here', 100, 500);
    return waitOf('here');
  };
  expect([1, 2, 3, 4].map(wait)).toEqual([100, 200, 400, 500]);
  failed.worked('here');
  expect(failed.mayTry('here')).toBe(true);
  expect(wait()).toBe(100);
});

test('places do not know each other, and their number is bounded', () => {
  const {failed} = places();
  for (let at = 0; at < 5_000; at += 1) failed.failed(`place ${at}`, 100);
  expect(failed.mayTry('place 4999')).toBe(false);
  expect(failed.mayTry('place 1')).toBe(true);
});
