// What workers tell about their visitors, and what they hear.

import {expect, test} from 'vitest';
import {
  type CountRow,
  CountsOfWorkers,
  CountsTeller,
} from '../../../../src/lib/relay/limits/counts-of-workers.js';
import {type VisitorCount, VisitorCounts} from '../../../../src/lib/relay/limits/visitor-counts.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

test('a worker tells changes once a second, without tunnels and without addresses that have few visitors', () => {
  const clock = new ManualClock();
  const counts = new VisitorCounts();
  const told: (readonly CountRow[])[] = [];
  const teller = new CountsTeller({counts, clock, tell: (rows) => void told.push(rows)});
  teller.start();
  const ana = [];
  for (let i = 0; i < 8; i += 1) {
    counts.enter('relay', '');
    ana.push(counts.enter('owner', 'ana'));
    counts.enter('tunnel', 'tls:a');
    counts.enter('address', 'b');
  }
  counts.enter('address', 'a');
  clock.advance(3_000);
  const rows = [
    ['relay ', 8],
    ['owner ana', 8],
    ['address b', 8],
  ];
  expect(told).toEqual([rows]);
  counts.leave(ana.pop() as VisitorCount);
  clock.advance(1_000);
  expect(told).toHaveLength(2);
  for (const one of ana) counts.leave(one);
  clock.advance(1_000);
  expect(told.at(-1)?.map(([name]) => name)).toEqual(['relay ', 'address b']);
  teller.close();
  expect(clock.pending).toBe(0);
});

test('each worker hears the sums of the others, and what a dead one had is gone', () => {
  const clock = new ManualClock();
  let times = 0;
  const all = new CountsOfWorkers<string>(clock, () => {
    times += 1;
  });
  all.set('a', [['owner ana', 2]]);
  all.set('b', [
    ['owner ana', 3],
    ['owner constructor', 1],
  ]);
  all.set('c', [['owner ana', 5]]);
  expect(times).toBe(0);
  clock.advance(1_000);
  expect(times).toBe(1);
  expect(all.besides('a')).toEqual([
    ['owner ana', 8],
    ['owner constructor', 1],
  ]);
  expect(all.besides('c')).toEqual([
    ['owner ana', 5],
    ['owner constructor', 1],
  ]);
  all.left('b');
  clock.advance(1_000);
  expect(times).toBe(2);
  expect(all.besides('a')).toEqual([['owner ana', 5]]);
  all.left('b');
  all.set('a', []);
  all.close();
  expect(clock.pending).toBe(0);
});
