import {expect, test} from 'vitest';
import {shellWord} from '../../../src/lib/core/shell-word.js';

test.each([
  ['/home/dev/ca.pem', '/home/dev/ca.pem'],
  ['/home/my user/ca.pem', `'/home/my user/ca.pem'`],
  [`it's`, `'it'\\''s'`],
  ['~/ca.pem', `'~/ca.pem'`],
  ['', `''`],
  ['$(x)', `'$(x)'`],
])('%s', (text, word) => {
  expect(shellWord(text)).toBe(word);
});
