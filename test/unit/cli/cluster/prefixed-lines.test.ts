import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {PrefixedLines} from '../../../../src/lib/cli/cluster/prefixed-lines.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function lines(colours = false) {
  const shown: Buffer[] = [];
  const prefixed = new PrefixedLines((bytes) => void shown.push(bytes), {colours});
  const write = (text: string | Buffer, rank = 0, from = 'stdout') =>
    prefixed.write(rank, from, Buffer.from(text as string));
  return {prefixed, write, shown: () => Buffer.concat(shown).toString('latin1')};
}

describe('lines', () => {
  test('cut anywhere', () => {
    const {write, shown} = lines();
    for (const piece of ['on', 'e\ntwo', '\n\nthree\n']) write(piece);
    expect(shown()).toBe('[0] one\n[0] two\n[0] \n[0] three\n');
  });

  test('of several members and streams stay apart', () => {
    const {write, shown} = lines();
    write('a', 0);
    write('b', 1);
    write('c', 1, 'stderr');
    write('!\n', 1);
    write('?\n', 0);
    write('.\n', 1, 'stderr');
    expect(shown()).toBe('[1] b!\n[0] a?\n[1] c.\n');
  });

  test('without an end are shown after a while, and at the end', () => {
    const {prefixed, write, shown} = lines();
    write('Password: ');
    expect(shown()).toBe('');
    vi.advanceTimersByTime(500);
    expect(shown()).toBe('[0] Password: \n');
    write('last');
    prefixed.end();
    expect(shown()).toBe('[0] Password: \n[0] last\n');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a progress bar is shown now and then, in its last state', () => {
    const {write, shown} = lines();
    for (let percent = 0; percent < 100; percent += 1) {
      write(`\r${percent} %`);
      vi.advanceTimersByTime(10);
    }
    write('\r100 %\r\n');
    expect(shown()).toBe('[0] 49 %\n[0] 99 %\n[0] 100 %\n');
  });

  test('longer than 16 KiB come in pieces, and nothing is lost', () => {
    const {prefixed, write, shown} = lines();
    write('x'.repeat(40_000));
    prefixed.end();
    const all = shown().trimEnd().split('\n');
    expect(all.map((line) => line.length - 4)).toEqual([16_384, 16_384, 7_232]);
  });

  test('bytes that are no text stay as they are', () => {
    const {write, shown} = lines();
    write(Buffer.from([0xff, 0x00, 0xc3, 0x0a]));
    expect(shown()).toBe('[0] \xff\0\xc3\n');
  });

  test('a colour of the program ends with its line, and only a terminal gets colours of tunl', () => {
    const plain = lines();
    plain.write('\x1b[31mred\n');
    expect(plain.shown()).toBe('[0] \x1b[31mred\x1b[0m\n');
    const coloured = lines(true);
    coloured.write('x\n', 1);
    expect(coloured.shown()).toBe('\x1b[33m[1]\x1b[0m x\n');
  });
});
