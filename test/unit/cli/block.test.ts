// The block at the bottom, as a terminal shows it: once, below all lines, also when the window becomes narrower.

import {Terminal} from '@xterm/headless';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {StickyBlock} from '../../../src/lib/cli/renderers/block.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function screen(columns: number) {
  const terminal = new Terminal({
    cols: columns,
    rows: 10,
    scrollback: 500,
    allowProposedApi: true,
    convertEol: true,
  });
  let written = '';
  let unread = '';
  return {
    columns,
    write(text: string) {
      written += text;
      // Real time is needed to read: the terminal has its own timers.
      unread += text;
    },
    resize(to: number) {
      this.columns = to;
      terminal.resize(to, 10);
    },
    /** Everything with the scrollback, without empty rows at the end. */
    async shown() {
      vi.useRealTimers();
      await new Promise<void>((resolve) => terminal.write(unread, resolve));
      vi.useFakeTimers();
      unread = '';
      const {buffer} = terminal;
      const rows = Array.from(
        {length: buffer.active.length},
        (_, i) => buffer.active.getLine(i)?.translateToString(true) ?? '',
      );
      return rows.join('\n').trimEnd().split('\n');
    },
    written: () => written,
  };
}

test.each([40, 80, 200])(
  '60 lines above a block, %d columns: every line once, the block once and last',
  async (columns) => {
    const at = screen(columns);
    const block = new StickyBlock(at);
    for (let n = 0; n < 60; n++) {
      block.show([{text: `first ${n}`}, {text: `second ${n}`}]);
      block.append(`line ${n}\n`);
      vi.advanceTimersByTime(100);
    }
    const lines = Array.from({length: 60}, (_, n) => `line ${n}`);
    expect(await at.shown()).toEqual([...lines, 'first 59', 'second 59']);
    block.end();
    expect(await at.shown()).toEqual(lines);
    // No alternate screen, no mouse, no hidden cursor, no cleared scrollback.
    expect(at.written()).not.toMatch(/\[\?(1049|1000|1006|25)|\[3J/);
  },
);

test('rows are cut to the width', async () => {
  const at = screen(20);
  const block = new StickyBlock(at);
  block.show([{text: 'x'.repeat(100)}]);
  block.append('line\n');
  expect(await at.shown()).toEqual(['line', `${'x'.repeat(18)}…`]);
});

test('a narrower window: one block', async () => {
  const at = screen(60);
  const block = new StickyBlock(at);
  block.show([{text: 'a'.repeat(50)}, {text: 'b'}]);
  block.append('line\n');
  await at.shown();
  at.resize(30);
  block.show([{text: 'short'}]);
  block.append('another\n');
  expect((await at.shown()).filter((row) => row !== '')).toEqual(['line', 'another', 'short']);
});

test('a wide glyph takes two cells: rows with wide glyphs are cut and erased correctly', async () => {
  const at = screen(20);
  const block = new StickyBlock(at);
  block.show([{text: '漢字'.repeat(10)}, {text: '🙂'.repeat(4)}]);
  block.append('line\n');
  expect(await at.shown()).toEqual(['line', `${'漢字'.repeat(4)}漢…`, '🙂'.repeat(4)]);
  at.resize(10);
  block.append('another\n');
  expect((await at.shown()).filter(Boolean)).toEqual(['line', 'another', '漢字漢字…', '🙂'.repeat(4)]);
});

test('a row that wraps takes as many rows in a window that has grown before the program was told', async () => {
  const at = screen(20);
  const block = new StickyBlock(at);
  block.show([{text: 'a'.repeat(50), wraps: true}, {text: 'b'}]);
  block.append('line\n');
  await at.shown();
  at.resize(80);
  at.columns = 20;
  block.append('another\n');
  expect(await at.shown()).toEqual(['line', 'another', 'a'.repeat(19), 'a'.repeat(19), 'a'.repeat(12), 'b']);
});

test('never more than five rows, and fewer in a low window: the state stays', async () => {
  const rows = [{text: 'a'.repeat(57), wraps: true}, {text: 'state'}, {text: 'keys'}];
  const at = screen(20);
  const block = new StickyBlock(at);
  block.show([...rows, {text: 'more'}]);
  block.append('line\n');
  expect((await at.shown()).slice(1)).toEqual([
    ...Array.from({length: 3}, () => 'a'.repeat(19)),
    'state',
    'keys',
  ]);
  const low = Object.assign(screen(20), {rows: 3});
  const small = new StickyBlock(low);
  small.show(rows);
  small.append('line\n');
  expect(await low.shown()).toEqual(['line', 'state']);
});

test('unchanged rows are not written again, because that would end a selection', async () => {
  const at = screen(40);
  const block = new StickyBlock(at);
  block.show([{text: 'same'}]);
  vi.advanceTimersByTime(100);
  const written = at.written();
  for (let n = 0; n < 10; n++) {
    block.show([{text: 'same'}]);
    vi.advanceTimersByTime(1000);
  }
  expect(at.written()).toBe(written);
  block.show([{text: 'other'}]);
  vi.advanceTimersByTime(100);
  expect(await at.shown()).toEqual(['other']);
});

test('while the shell has the terminal only lines are written; afterwards there is one block again', async () => {
  const at = screen(40);
  let isMine = true;
  const block = new StickyBlock(at, () => isMine);
  block.show([{text: 'block'}]);
  block.append('line\n');
  isMine = false;
  at.write('$ ');
  block.show([{text: 'block'}]);
  vi.advanceTimersByTime(100);
  block.append('in the background\n');
  at.write('$ fg\n');
  isMine = true;
  block.show([{text: 'block'}]);
  vi.advanceTimersByTime(100);
  expect(await at.shown()).toEqual(['line', 'block', '$ in the background', '$ fg', 'block']);
});

test('stopped while a redraw was due, then continued: nothing of the shell’s output is erased', async () => {
  const at = screen(40);
  const block = new StickyBlock(at);
  block.show([{text: 'block'}]);
  block.append('line\n');
  block.show([{text: 'newer'}]);
  at.write('$ fg\n');
  // A late timer runs before the signal.
  vi.advanceTimersToNextTimer();
  block.restart();
  vi.advanceTimersByTime(1000);
  expect(await at.shown()).toEqual(['line', 'block', '$ fg', 'newer']);
});

test('a line of another stream comes where the block was; then the block is below it', async () => {
  const at = screen(80);
  const block = new StickyBlock(at);
  block.show([{text: 'one'}, {text: 'two'}]);
  vi.advanceTimersByTime(100);
  block.lift();
  at.write('of stdout\n');
  block.show([{text: 'one'}, {text: 'two'}]);
  vi.advanceTimersByTime(100);
  expect(await at.shown()).toEqual(['of stdout', 'one', 'two']);
});
