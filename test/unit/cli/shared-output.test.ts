// The stream that a program and tunl share: the program's bytes are unchanged, and each line of tunl is on a separate line.

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

test('a line of tunl waits until the program has ended its line', () => {
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

test('a line of tunl waits for a limited time, and only a limited number waits', () => {
  const {program, output, written} = shared();
  program('50 %\r');
  output.own('own\n');
  vi.advanceTimersByTime(300);
  expect(written()).toBe('50 %\r\nown\n');
  program('51 %\r');
  output.own(`${'x'.repeat(70_000)}\n`);
  expect(written().endsWith('x\n')).toBe(true);
});

test('a line has ended when only the reset of its colour follows the line end', () => {
  const {program, output, written} = shared();
  program('\x1b[31mred\n\x1b[0m');
  output.own('own\n');
  expect(written()).toBe('\x1b[31mred\n\x1b[0mown\n');
});

test('nothing is added to output without lines of tunl', () => {
  const {program, output, written} = shared();
  program('no end of a line');
  output.end();
  expect(written()).toBe('no end of a line');
  output.settle();
  expect(written()).toBe('no end of a line\n');
});
