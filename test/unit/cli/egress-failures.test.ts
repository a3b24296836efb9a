// A program behind an egress that tries again and again: the first failure is told at once, later ones with their number.

import {expect, test} from 'vitest';
import {FailureReports} from '../../../src/lib/cli/egress/failure-reports.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const failed = (destination: string) => ({
  type: 'failed' as const,
  destination,
  code: 'EGRESS_UNREACHABLE' as const,
  reason: 'nobody there',
  next: 'Look.',
});

test('the first failure at once, then a number', () => {
  const clock = new ManualClock();
  const told: unknown[] = [];
  using reports = new FailureReports(
    {event: (event) => void told.push(event), tell: ({text}) => void told.push(text)},
    clock,
  );
  for (let at = 0; at < 500; at += 1) reports.note(failed('db.corp:5432'));
  expect(told.splice(0)).toEqual([{...failed('db.corp:5432'), type: 'egress-failed'}]);
  // A scan of a network.
  for (let at = 0; at < 100; at += 1) reports.note(failed(`10.0.0.${at}:22`));
  expect(told.splice(0).length).toBeLessThan(20);
  clock.advance(10_000);
  expect(told[0]).toEqual({...failed('db.corp:5432'), type: 'egress-failed', times: 499});
  expect(told.at(-1)).toMatch(/^\d+ more connections not made, to other destinations$/);
});
