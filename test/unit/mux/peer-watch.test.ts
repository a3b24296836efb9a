import {expect, test} from 'vitest';
import {PeerWatch, STANDSTILL_MS} from '../../../src/lib/mux/peer-watch.js';
import {ManualClock} from '../../helpers/manual-clock.js';

function setUp() {
  const clock = new ManualClock();
  const seen: string[] = [];
  const watch: PeerWatch = new PeerWatch({
    clock,
    pingAfterMs: 5_000,
    deadAfterMs: 15_000,
    ping: () => seen.push(`ping at ${clock.now()}`),
    onDead: (silentMs) => seen.push(`dead after ${silentMs}`),
  });
  return {clock, watch, seen};
}

test('silence causes a ping, and then the end', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  clock.advance(60_000);
  expect(seen).toEqual(['ping at 0', 'ping at 5000', 'ping at 10000', 'dead after 15000']);
  expect(clock.pending).toBe(0);
});

test('a peer that sends is not pinged', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  for (let i = 0; i < 20; i++) {
    clock.advance(4_000);
    watch.heard();
  }
  expect(seen).toEqual(['ping at 0']);
});

test('bytes that are read late count from then', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  clock.advance(14_000);
  watch.heard();
  clock.advance(14_999);
  expect(seen.at(-1)).toMatch('ping');
  clock.advance(1);
  expect(seen.at(-1)).toBe('dead after 15000');
});

test('a probe needs an answer within its own time', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  clock.advance(1_000);
  watch.heard();
  clock.advance(1);
  watch.probe(2_000);
  clock.advance(1_999);
  expect(seen).toEqual(['ping at 0', 'ping at 1001']);
  // Bytes from before the probe are no answer.
  clock.advance(1);
  expect(seen.at(-1)).toBe('dead after 2001');
});

test('an answered probe leaves the watch unchanged', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  watch.probe(2_000);
  clock.advance(1_000);
  watch.heard();
  clock.advance(5_000);
  expect(seen).toEqual(['ping at 0', 'ping at 0', 'ping at 6000']);
});

test('a process that was stopped pings first', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  clock.jump(3_600_000);
  expect(seen).toEqual(['ping at 0', 'ping at 3600000']);
  watch.heard();
  clock.advance(STANDSTILL_MS);
  expect(seen).toHaveLength(2);
});

test('and gives up the peer without an answer to that ping', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  clock.jump(3_600_000);
  clock.advance(STANDSTILL_MS);
  expect(seen.at(-1)).toBe('dead after 3602000');
});

test('a carrier that ends during the ping is not watched any more', () => {
  const clock = new ManualClock();
  const watch: PeerWatch = new PeerWatch({
    clock,
    pingAfterMs: 5_000,
    deadAfterMs: 15_000,
    ping: () => watch.stop(),
    onDead: () => {
      throw new Error('told');
    },
  });
  watch.start();
  expect(clock.pending).toBe(0);
  watch.probe(2_000);
  expect(clock.pending).toBe(0);
});

test('nothing is left after the stop', () => {
  const {clock, watch, seen} = setUp();
  watch.start();
  watch.stop();
  watch.stop();
  clock.advance(60_000);
  expect(seen).toEqual(['ping at 0']);
  expect(clock.pending).toBe(0);
});
