import {expect, test} from 'vitest';
import {VisitorTraffic} from '../../../src/lib/sandbox/visitor-traffic.js';
import {ManualClock} from '../../helpers/manual-clock.js';

/** A tunnel with visitors that send and leave. */
function tunnel() {
  const present = new Set<{bytesIn: number}>();
  let gone = 0;
  return {
    get traffic() {
      return {bytesIn: [...present].reduce((sum, {bytesIn}) => sum + bytesIn, gone)};
    },
    get visitors() {
      return present;
    },
    come() {
      const visitor = {bytesIn: 0};
      present.add(visitor);
      return visitor;
    },
    leave(visitor: {bytesIn: number}) {
      present.delete(visitor);
      gone += visitor.bytesIn;
    },
  };
}

/** Looks every 15 s for `minutes`, with `before` each time; returns how often there was use. */
function looks(
  minutes: number,
  before: (look: number) => void,
  tunnels: ReturnType<typeof tunnel>[],
): number {
  const clock = new ManualClock();
  const traffic = new VisitorTraffic(clock);
  let used = 0;
  for (let look = 0; look < minutes * 4; look += 1) {
    before(look);
    if (traffic.look(tunnels)) used += 1;
    clock.advance(15_000);
  }
  return used;
}

test('nobody there is no use', () => {
  expect(looks(10, () => {}, [tunnel()])).toBe(0);
});

test('fifty forgotten tabs that keep their connections alive are no use', () => {
  const one = tunnel();
  const tabs = Array.from({length: 50}, () => one.come());
  const first = looks(1, () => {}, [one]);
  expect(first).toBe(0);
  const clock = new ManualClock();
  const traffic = new VisitorTraffic(clock);
  let used = 0;
  for (let look = 0; look < 240; look += 1) {
    // Their first minute has no traffic: they were there before.
    if (look > 4) for (const tab of tabs) tab.bytesIn += 6;
    if (traffic.look([one])) used += 1;
    clock.advance(15_000);
  }
  expect(used).toBe(0);
});

test('a connection with 256 bytes in a minute is use, with less it is none', () => {
  const one = tunnel();
  const visitor = one.come();
  expect(looks(10, () => (visitor.bytesIn += 64), [one])).toBeGreaterThanOrEqual(9);
  const other = tunnel();
  const quiet = other.come();
  expect(looks(10, (look) => (quiet.bytesIn += look < 4 ? 0 : 50), [other])).toBe(0);
});

test('small requests count together, also when they have ended between two looks', () => {
  const one = tunnel();
  const request = () => {
    const visitor = one.come();
    visitor.bytesIn = 100;
    one.leave(visitor);
  };
  expect(looks(1, (look) => (look === 0 ? request() : undefined), [one])).toBe(0);
  expect(looks(5, request, [tunnel(), one])).toBeGreaterThanOrEqual(5);
});
