// Who is served when, where only so much is done in a turn.

import {expect, test} from 'vitest';
import {FairTurns} from '../../../../src/lib/relay/doors/fair-turns.js';

function setUp(perTurn = 2) {
  const soon: (() => void)[] = [];
  const done: string[] = [];
  const turns = new FairTurns({perTurn, clock: {soon: (fn) => void soon.push(fn)}});
  const run = (source: string, count = 1) => {
    for (let i = 1; i <= count; i++) turns.run(source, () => void done.push(`${source}${i}`));
  };
  /** What is done in the next turn. */
  const turn = () => {
    done.length = 0;
    for (const fn of soon.splice(0)) fn();
    return done.join(' ');
  };
  return {turns, run, turn, done, pending: () => soon.length};
}

test('what fits is done at once', () => {
  const {run, turn, done, pending} = setUp();
  run('a');
  run('b');
  expect(done).toEqual(['a1', 'b1']);
  expect([turn(), pending()]).toEqual(['', 0]);
  run('a');
  expect(done).toEqual(['a1']);
});

test('of a crowd so many are done in each turn, and another source does not wait behind it', () => {
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

test('who comes later does not get in front of those that wait', () => {
  const {turns, run, turn, done} = setUp();
  run('a', 3);
  turns.run('a', () => turns.run('b', () => void done.push('b, asked for by a')));
  expect([turn(), turn()]).toEqual(['a3', 'b, asked for by a']);
});
