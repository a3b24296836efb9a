import {expect, test} from 'vitest';
import {createLogger} from '../../../../src/lib/core/logger.js';
import {ReplayBudget} from '../../../../src/lib/mux/replay-budget.js';
import {KeptLimit, type KeptSession} from '../../../../src/lib/relay/agents/kept-limit.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const MIB = 1024 * 1024;

function setUp(sessions: readonly {detachedAt: number | undefined; mib: number}[]) {
  const clock = new ManualClock();
  const budget = new ReplayBudget(100 * MIB);
  const ended: number[] = [];
  const all: KeptSession[] = sessions.map(({detachedAt, mib}, i) => {
    budget.change(mib * MIB);
    return {
      detachedAt,
      queuedBytes: mib * MIB,
      destroy: (error) => {
        expect(error.code).toBe('RESUME_EXPIRED');
        ended.push(i);
        budget.change(-mib * MIB);
      },
    };
  });
  const limit = new KeptLimit({
    budget,
    sessions: () => all,
    clock,
    log: createLogger('test', undefined),
  });
  return {clock, limit, ended};
}

test('when the budget is full, the sessions that have had no link for the longest time are ended, until a quarter is free', () => {
  const {clock, ended, limit} = setUp([
    {detachedAt: 50, mib: 20},
    {detachedAt: undefined, mib: 30},
    {detachedAt: 10, mib: 20},
    {detachedAt: 5, mib: 0.1},
    {detachedAt: 30, mib: 20},
    {detachedAt: 60, mib: 16},
  ]);
  clock.advance(1_000);
  expect(ended).toEqual([2, 4]);
  limit.close();
  expect(clock.pending).toBe(0);
});

test('below the limit no session is ended', () => {
  const {clock, ended} = setUp([
    {detachedAt: 1, mib: 50},
    {detachedAt: 2, mib: 49},
  ]);
  clock.advance(5_000);
  expect(ended).toEqual([]);
});
