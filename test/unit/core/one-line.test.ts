import {expect, test} from 'vitest';
import {forTerminal, oneLine, printable} from '../../../src/lib/core/one-line.js';

test('no control character gets through', () => {
  expect(oneLine('a\u001b[31mb\r\nc\u0007\u009bd\u2028e\n')).toBe('a [31mb c d e');
});

test('no character passes that changes the direction of the text, or hides it', () => {
  expect(oneLine('exe\u202egpj.\u2066x\u200b\ufeffy')).toBe('exe gpj. x y');
});

test('ordinary text stays', () => {
  expect(oneLine('  ⚠ é 漢字 🚇 ')).toBe('⚠ é 漢字 🚇');
});

test('printable text is cut at a limit', () => {
  expect(printable('x'.repeat(500))).toBe(`${'x'.repeat(200)}…`);
});

test.each([
  ['plain lines', 'one\n\ttwo\n', 'one\n\ttwo\n'],
  ['a colour', '\x1b[31mred\x1b[0m\n', 'red\n'],
  ['a part of a sequence', '31m\x1b', '31m '],
  ['a C1 introducer', 'a\u009b2Jb', 'a\u009b2Jb'.replace('\u009b2J', '')],
  ['a carriage return', 'safe\revil\r\n', 'safe evil\n'],
  ['a direction', 'a\u202eb', 'a b'],
  ['a bell and a backspace', 'a\x07\bb', 'a  b'],
  ['other scripts', 'grüße 日本\n', 'grüße 日本\n'],
])('lines for a terminal: %s', (_, text, shown) => {
  expect(forTerminal(text)).toBe(shown);
});

test('a title and a clipboard cannot be set', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
  expect(forTerminal('\x1b]0;evil\x07\x1b]52;c;AAAA\x1b\\')).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
});
