import {expect, test} from 'vitest';
import {parseStat} from '../../../src/lib/core/process-stat.js';

test('a name may contain spaces and parentheses', () => {
  const stat = '7 (my (odd) name) S 3 5 6 34816 9 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2';
  expect(parseStat(stat)).toEqual({state: 'S', parent: '3', group: '5', foreground: '9', start: '123456'});
});

test('a process that has ended gives undefined', () => {
  expect(parseStat('')).toEqual({state: '', parent: '', group: '', foreground: '', start: ''});
});
