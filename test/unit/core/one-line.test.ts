import {expect, test} from 'vitest';
import {oneLine, printable} from '../../../src/lib/core/one-line.js';

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
