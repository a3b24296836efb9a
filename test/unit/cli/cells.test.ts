import {expect, test} from 'vitest';
import {cells, cut} from '../../../src/lib/cli/cells.js';

test.each([
  ['', 0],
  ['plain', 5],
  ['● → · ↻ ✗ …', 11],
  ['漢字', 4],
  ['ｱｲｳ', 3],
  ['é', 1],
  ['e\u0301', 1],
  ['🙂', 2],
  ['👩‍👩‍👧', 2],
  ['a\u200bb', 2],
])('%j takes %i cells', (text, width) => {
  expect(cells(text)).toBe(width);
});

test.each([
  ['short', 10, 'short'],
  ['exactly', 7, 'exactly'],
  ['too long', 5, 'too …'],
  ['漢字漢字', 6, '漢字…'],
  ['漢字漢字', 8, '漢字漢字'],
  ['e\u0301e\u0301e\u0301', 2, 'e\u0301…'],
  ['anything', 1, '…'],
  ['anything', 0, ''],
])('%j in %i cells is %j', (text, width, shown) => {
  expect(cut(text, width)).toBe(shown);
});
