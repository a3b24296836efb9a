// The block at the bottom, as a terminal shows it: once, below all lines, also when the window becomes narrower.

import {Terminal} from '@xterm/headless';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import type {TunnelEvent} from '../../../src/lib/agent/events.js';
import {StickyBlock} from '../../../src/lib/cli/renderers/block.js';
import {Status} from '../../../src/lib/cli/renderers/status.js';

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
      // Only read with real time: the terminal has timers of its own.
      unread += text;
    },
    resize(to: number) {
      this.columns = to;
      terminal.resize(to, 10);
    },
    /** Everything, the scrollback included, without empty rows at the end. */
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
      block.show([`first ${n}`, `second ${n}`]);
      block.append(`line ${n}\n`);
      vi.advanceTimersByTime(100);
    }
    const lines = Array.from({length: 60}, (_, n) => `line ${n}`);
    expect(await at.shown()).toEqual([...lines, 'first 59', 'second 59']);
    block.end();
    expect(await at.shown()).toEqual(lines);
    // No other screen, no mouse, no hidden cursor, no cleared scrollback.
    expect(at.written()).not.toMatch(/\[\?(1049|1000|1006|25)|\[3J/);
  },
);

test('rows are cut to the width', async () => {
  const at = screen(20);
  const block = new StickyBlock(at);
  block.show(['x'.repeat(100)]);
  block.append('line\n');
  expect(await at.shown()).toEqual(['line', `${'x'.repeat(18)}…`]);
});

test('a narrower window: one block', async () => {
  const at = screen(60);
  const block = new StickyBlock(at);
  block.show(['a'.repeat(50), 'b']);
  block.append('line\n');
  await at.shown();
  at.resize(30);
  block.show(['short']);
  block.append('another\n');
  expect((await at.shown()).filter((row) => row !== '')).toEqual(['line', 'another', 'short']);
});

test('says only what is known', () => {
  const status = new Status();
  const visit = {
    type: 'connection',
    id: 1,
    visitor: '203.0.113.7:1',
    via: 'tls',
    bytesIn: 0,
    bytesOut: 0,
    durationMs: 0,
  } as const;
  const after = (event: TunnelEvent) => {
    status.event(event);
    return status.rows()[1];
  };
  expect(status.rows()).toEqual([]);
  const ready: TunnelEvent = {
    type: 'ready',
    address: 'https://abc.r1.example.net',
    upstream: 'localhost:8000',
    relay: {url: 'https://r1.example.net', embedded: false},
    h2: false,
  };
  expect(after(ready)).toBe('  ● link up · 0 open · 0 so far');
  expect(after({...visit, state: 'refused'})).toBe('  ✗ upstream does not answer · 0 open · 0 so far');
  expect(after({...visit, state: 'open'})).toBe('  ● live · 1 open · 1 so far');
  const lost = {
    code: 'RELAY_LOST',
    reason: '',
    attempt: 1,
    delayMs: 1,
    connections: 1,
    keptForMs: 1,
  } as const;
  expect(after({type: 'reconnecting', ...lost})).toMatch(
    /^ {2}↻ link lost \d+ ms, 1 kept · 1 open · 1 so far$/,
  );
  expect(after({type: 'resumed', awayMs: 1, resumed: 1, lost: 0})).toBe('  ● live · 1 open · 1 so far');
  expect(after({...visit, state: 'closed'})).toBe('  ● live · 0 open · 1 so far');
  expect(after({type: 'closed', connections: 1})).toBeUndefined();
});
