import {expect, test} from 'vitest';
import {Life, type LifeOptions} from '../../../src/lib/sandbox/life.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const BORN = 1_000_000;

function begun(options: Partial<LifeOptions>) {
  const clock = new ManualClock();
  const over: string[] = [];
  const state = {busy: false, traffic: false};
  const life: Life = new Life({
    clock,
    wall: () => BORN + clock.now(),
    timeoutMs: 0,
    idleTimeoutMs: undefined,
    isBusy: () => state.busy,
    look: () => {
      if (state.traffic) life.active('traffic');
    },
    onOver: (reason) => over.push(`${reason} at ${clock.now()}`),
    ...options,
  });
  life.begin();
  return {clock, life, over, state};
}

test('the hard limit ends it once, at its time', () => {
  const {clock, life, over} = begun({timeoutMs: 300_000});
  expect(life.stopsAt).toBe(BORN + 300_000);
  clock.advance(1_000_000);
  expect(over).toEqual(['timeout at 300000']);
  expect(clock.pending).toBe(0);
});

test('no limit: it has no end', () => {
  const {clock, life, over} = begun({});
  clock.advance(100 * 86_400_000);
  expect([over, life.stopsAt, life.extend(1)]).toEqual([[], undefined, undefined]);
});

test('extend adds to the remaining life, and counts as use', () => {
  const {clock, life, over} = begun({timeoutMs: 10_000, idleTimeoutMs: 9_000});
  clock.advance(8_000);
  expect(life.extend(5_000)).toBe(BORN + 15_000);
  expect(life.activity).toEqual({source: 'extend', at: BORN + 8_000});
  clock.advance(6_999);
  expect(over).toEqual([]);
  clock.advance(1);
  expect(over).toEqual(['timeout at 15000']);
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('extend by %s is refused', (ms) => {
  expect(() => begun({}).life.extend(ms)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});

test('without use it ends after its idle time', () => {
  const {clock, life, over} = begun({idleTimeoutMs: 60_000});
  clock.advance(59_999);
  expect(over).toEqual([]);
  expect(life.activity).toEqual({source: 'start', at: BORN});
  clock.advance(1);
  expect(over).toEqual(['idle at 60000']);
});

test('looking at it is no use', () => {
  const {clock, life, over} = begun({idleTimeoutMs: 60_000});
  for (let i = 0; i < 60; i += 1) {
    clock.advance(1_000);
    void life.activity;
    void life.stopsAt;
  }
  expect(over).toEqual(['idle at 60000']);
});

test('what runs inside keeps it, and the idle time begins when it has ended', () => {
  const {clock, life, over, state} = begun({idleTimeoutMs: 60_000});
  state.busy = true;
  clock.advance(3_600_000);
  expect(life.activity).toEqual({source: 'exec', at: BORN + 3_600_000});
  state.busy = false;
  life.active('exec');
  clock.advance(59_999);
  expect(over).toEqual([]);
  clock.advance(1);
  expect(over).toEqual(['idle at 3660000']);
});

test('traffic keeps it: it is looked at again right before the end', () => {
  const {clock, over, state} = begun({idleTimeoutMs: 20_000});
  clock.advance(19_000);
  state.traffic = true;
  clock.advance(1_000);
  expect(over).toEqual([]);
  state.traffic = false;
  clock.advance(19_999);
  expect(over).toEqual([]);
  clock.advance(1);
  expect(over).toEqual(['idle at 40000']);
});

test('the first of two limits counts', () => {
  const {clock, over} = begun({timeoutMs: 10_000, idleTimeoutMs: 10_001});
  clock.advance(60_000);
  expect(over).toEqual(['timeout at 10000']);
});
