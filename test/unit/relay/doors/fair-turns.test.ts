// The order of work that is limited in each turn.

import {expect, test} from 'vitest';
import {FairTurns} from '../../../../src/lib/relay/doors/fair-turns.js';

function setUp(perTurn = 2) {
  const soon: (() => void)[] = [];
  const done: string[] = [];
  const turns = new FairTurns({perTurn, clock: {soon: (fn) => void soon.push(fn)}});
  const run = (source: string, count = 1) => {
    for (let i = 1; i <= count; i++) turns.run(source, () => void done.push(`${source}${i}`));
  };
  /** The work of the next turn. */
  const turn = () => {
    done.length = 0;
    for (const fn of soon.splice(0)) fn();
    return done.join(' ');
  };
  return {turns, run, turn, done, pending: () => soon.length};
}

test('work within the limit is done at once', () => {
  const {run, turn, done, pending} = setUp();
  run('a');
  run('b');
  expect(done).toEqual(['a1', 'b1']);
  expect([turn(), pending()]).toEqual(['', 0]);
  run('a');
  expect(done).toEqual(['a1']);
});

test('many jobs of one source take several turns, and another source does not wait behind them', () => {
  const {run, turn, done} = setUp();
  run('crowd', 7);
  expect(done).toEqual(['crowd1', 'crowd2']);
  run('good');
  expect([turn(), turn(), turn(), turn()]).toEqual(['crowd3 good1', 'crowd4 crowd5', 'crowd6 crowd7', '']);
});

test('sources take turns', () => {
  const {run, turn} = setUp(3);
  run('a', 6);
  run('b', 3);
  run('c', 1);
  expect([turn(), turn(), turn()]).toEqual(['a4 b1 c1', 'a5 b2 a6', 'b3']);
});

test('later work does not go before waiting work', () => {
  const {turns, run, turn, done} = setUp();
  run('a', 3);
  turns.run('a', () => turns.run('b', () => void done.push('b, asked for by a')));
  expect([turn(), turn()]).toEqual(['a3', 'b, asked for by a']);
});

test('a job that is cancelled neither runs nor takes a turn, nor keeps its source waiting', () => {
  const {turns, turn, done} = setUp(1);
  const jobs = ['a', 'b'].map((source) => turns.later(source, () => void done.push(source)));
  const [a, b] = jobs as [(typeof jobs)[number], (typeof jobs)[number]];
  turns.later('a', () => void done.push('a again'));
  turns.cancel('a', a);
  turns.cancel('b', b);
  turns.cancel('b', b);
  expect(turn()).toBe('a again');
  expect(turns.busy).toBe(false);
});

test('a job that has nothing to do leaves its turn to the next one', () => {
  const {turns, turn, done} = setUp(1);
  for (let source = 0; source < 100; source += 1) turns.later(String(source), () => false);
  turns.later('live', () => void done.push('live'));
  expect(turn()).toBe('live');
});
