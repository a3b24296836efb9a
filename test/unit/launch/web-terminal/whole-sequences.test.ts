// Output is cut between sequences and characters, for any chunks, and nothing is lost.
import fc from 'fast-check';
import {expect, test} from 'vitest';
import {unfinishedFrom, WholeSequences} from '../../../../src/lib/launch/web-terminal/whole-sequences.js';

test.each([
  ['text', ''],
  ['', ''],
  ['text\x1b', '\x1b'],
  ['text\x1b[', '\x1b['],
  ['text\x1b[38;5;1', '\x1b[38;5;1'],
  ['text\x1b[38;5;1m', ''],
  ['text\x1b[?25h\x1b[1', '\x1b[1'],
  ['\x1b[?1$', '\x1b[?1$'],
  ['\x1b(', '\x1b('],
  ['\x1b(B', ''],
  ['\x1b7', ''],
  ['\x1b]2;a title', '\x1b]2;a title'],
  ['\x1b]2;a title\x07', ''],
  ['\x1b]2;a title\x1b', '\x1b'],
  ['\x1b]2;a title\x1b\\', ''],
  ['\x1bP$q', '\x1bP$q'],
  ['\x1bPq\x1b\\after', ''],
])('%j holds back %j', (text, held) => {
  const bytes = Buffer.from(text);
  expect(bytes.subarray(unfinishedFrom(bytes)).toString()).toBe(held);
});

test.each(['ä', '漢', '🙂'])('%s is not cut', (char) => {
  const bytes = Buffer.from(`x${char}`);
  for (let end = 2; end < bytes.length; end += 1) expect(unfinishedFrom(bytes.subarray(0, end))).toBe(1);
  expect(unfinishedFrom(bytes)).toBe(bytes.length);
});

test('bytes that are not UTF-8 are passed on', () => {
  expect(unfinishedFrom(Buffer.from([0x80, 0x80, 0x80, 0x80]))).toBe(4);
  expect(unfinishedFrom(Buffer.from([0x41, 0xc3, 0x41]))).toBe(3);
});

test('a sequence without an end is not held back for ever', () => {
  const whole = new WholeSequences();
  expect(whole.push(Buffer.from('\x1b]1337;')).length).toBe(0);
  expect(whole.push(Buffer.alloc(8_000, 'a')).length).toBe(8_007);
});

test('in any pieces, all of it arrives in order', () => {
  const part = fc.oneof(
    fc.constantFrom('\x1b', '[', '1;2', 'm', ']', '\x07', '\\', 'P', '(', 'ä', '🙂'),
    fc.string({maxLength: 5}),
  );
  fc.assert(
    fc.property(fc.array(part), fc.array(fc.nat(7)), (parts, lengths) => {
      const bytes = Buffer.from(parts.join(''));
      const whole = new WholeSequences();
      const out: Uint8Array[] = [];
      let at = 0;
      for (const length of lengths) {
        out.push(whole.push(bytes.subarray(at, at + length)));
        at += length;
      }
      out.push(whole.push(bytes.subarray(at)), whole.rest());
      expect(Buffer.concat(out).equals(bytes)).toBe(true);
    }),
  );
});
