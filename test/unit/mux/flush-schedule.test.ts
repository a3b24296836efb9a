// When frames are sent: at once on an idle carrier, together while the carrier still writes.

import {expect, test} from 'vitest';
import {AT_ONCE, FlushSchedule, NEXT_TURN, THIS_TURN} from '../../../src/lib/mux/flush-schedule.js';

function setUp() {
  const soon: (() => void)[] = [];
  const clock = {
    now: () => 0,
    after: () => ({cancel: () => {}}),
    soon: (fn: () => void) => void soon.push(fn),
  };
  let flushes = 0;
  let busy = false;
  const schedule: FlushSchedule = new FlushSchedule(
    clock,
    () => {
      flushes += 1;
      busy = true;
      schedule.begun();
    },
    () => busy,
  );
  return {
    schedule,
    flushes: () => flushes,
    /** The carrier has written everything; then the turn ends. */
    endTurn: () => {
      busy = false;
      for (const fn of soon.splice(0)) fn();
    },
  };
}

test('a frame on an idle carrier goes at once; those that come while it writes go together', async () => {
  const {schedule, flushes, endTurn} = setUp();
  schedule.wrote(AT_ONCE);
  await null;
  expect(flushes()).toBe(1);
  for (let i = 0; i < 5; i++) {
    schedule.wrote(AT_ONCE);
    await null;
  }
  expect(flushes()).toBe(1);
  endTurn();
  expect(flushes()).toBe(2);
});

test('frames after which more usually follows wait for the next turn, unless another frame goes first', async () => {
  const {schedule, flushes, endTurn} = setUp();
  schedule.wrote(NEXT_TURN);
  endTurn();
  expect(flushes()).toBe(0);
  endTurn();
  expect(flushes()).toBe(1);
  endTurn();
  schedule.wrote(NEXT_TURN);
  schedule.flush(THIS_TURN);
  endTurn();
  expect(flushes()).toBe(2);
});
