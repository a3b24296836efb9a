// Log lines about events that strangers can repeat.

import {expect, test} from 'vitest';
import {RepeatLog} from '../../../../src/lib/relay/doors/repeat-log.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

function setUp() {
  const clock = new ManualClock();
  const lines: object[] = [];
  return {clock, lines, log: new RepeatLog({clock, write: (line) => void lines.push(line)})};
}

test('the first event is logged at once, the next ones as a number every ten seconds', () => {
  const {clock, lines, log} = setUp();
  for (let i = 0; i < 500; i++) log.note('a');
  log.note('b');
  expect(lines).toEqual([{from: 'a'}, {from: 'b'}]);
  clock.advance(10_000);
  expect(lines.slice(2)).toEqual([{from: 'a', times: 499}]);
  log.note('a');
  log.note('b');
  expect(lines.slice(3)).toEqual([{from: 'b'}]);
  clock.advance(10_000);
  expect(lines.slice(4)).toEqual([{from: 'a', times: 1}]);
  clock.advance(10_000);
  expect([lines.length, clock.pending]).toEqual([5, 0]);
  log.note('a');
  expect(lines.slice(5)).toEqual([{from: 'a'}]);
});

test('many sources together get only a few lines', () => {
  const {clock, lines, log} = setUp();
  for (let i = 0; i < 10_000; i++) log.note(`source ${i}`);
  clock.advance(10_000);
  expect(lines).toHaveLength(17);
  expect(lines.at(-1)).toEqual({times: 9_984});
});
