// The stream that a program and tunl share: the program's bytes unchanged, own lines on lines of their own.

import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {SharedOutput} from '../../../src/lib/cli/renderers/shared-output.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function shared() {
  const pieces: Buffer[] = [];
  const output = new SharedOutput((piece) => pieces.push(Buffer.from(piece)));
  return {
    program: (text: string) => output.program(Buffer.from(text)),
    output,
    written: () => Buffer.concat(pieces).toString(),
  };
}

test('an own line waits until the program has ended its line', () => {
  const {program, output, written} = shared();
  program('half');
  output.own('own\n');
  output.own('another\n');
  expect(written()).toBe('half');
  program(' a line\n  next');
  expect(written()).toBe('half a line\n  next');
  program('\n');
  expect(written()).toBe('half a line\n  next\nown\nanother\n');
  output.own('at once\n');
  expect(written().endsWith('another\nat once\n')).toBe(true);
});

test('an own line does not wait for ever, nor without bound', () => {
  const {program, output, written} = shared();
  program('50 %\r');
  output.own('own\n');
  vi.advanceTimersByTime(300);
  expect(written()).toBe('50 %\r\nown\n');
  program('51 %\r');
  output.own(`${'x'.repeat(70_000)}\n`);
  expect(written().endsWith('x\n')).toBe(true);
});

test('a line with a colour that is reset after its end has ended', () => {
  const {program, output, written} = shared();
  program('\x1b[31mred\n\x1b[0m');
  output.own('own\n');
  expect(written()).toBe('\x1b[31mred\n\x1b[0mown\n');
});

test('nothing is added to output without own lines', () => {
  const {program, output, written} = shared();
  program('no end of a line');
  output.end();
  expect(written()).toBe('no end of a line');
  output.settle();
  expect(written()).toBe('no end of a line\n');
});
