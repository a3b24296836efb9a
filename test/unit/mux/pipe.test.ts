import {describe, expect, test} from 'vitest';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import {listenTo} from '../../helpers/carriers.js';

/** A pipe whose deliveries wait until the test runs them. */
function slow(highWaterBytes: number) {
  const due: (() => void)[] = [];
  const [a, b] = createPipe({highWaterBytes, deliver: (fn) => void due.push(fn)});
  const deliver = (count = due.length) => {
    for (const fn of due.splice(0, count)) fn();
  };
  return {a, b, deliver, events: [listenTo(a), listenTo(b)] as const};
}

describe('the pipe in memory', () => {
  test('asks to hold back above its high water, and drains once at half of it, whatever is written in between', () => {
    const {a, deliver, events} = slow(1_000);
    const block = Buffer.alloc(600);
    expect(a.write(block, 0, 600)).toBe(true);
    expect(a.write(block, 0, 600)).toBe(false);
    deliver(1);
    // Below the high water again, but the drain is still due.
    expect(a.write(block, 0, 10)).toBe(true);
    expect(events[0].drains).toBe(0);
    deliver();
    expect(events[0].drains).toBe(1);
    expect(a.bufferedBytes).toBe(0);
    expect(events[1].bytes).toBe(1_210);
  });

  test('returns every block when it dies, and delivers nothing more', () => {
    const {a, b, deliver, events} = slow(1_000);
    let written = 0;
    const onWritten = () => {
      written += 1;
    };
    for (let i = 0; i < 3; i += 1) a.write(Buffer.alloc(10), 0, 10, onWritten);
    a.destroy(new Error('cut'));
    deliver();
    a.write(Buffer.alloc(10), 0, 10, onWritten);
    deliver();
    expect(written).toBe(4);
    expect(events[1].bytes).toBe(0);
    expect(events.map((each) => each.closes)).toEqual([[new Error('cut')], [undefined]]);
    b.destroy();
    b.end();
    deliver();
    expect(events[1].closes).toHaveLength(1);
  });

  test('tells a late listener that it has closed', () => {
    const due: (() => void)[] = [];
    const [a] = createPipe({deliver: (fn) => void due.push(fn)});
    a.destroy(new Error('cut'));
    const log = listenTo(a);
    for (const fn of due.splice(0)) fn();
    expect(log.closes).toEqual([new Error('cut')]);
  });

  test('ends in order: earlier bytes arrive, then both ends close', () => {
    const {a, deliver, events} = slow(1_000);
    a.write(Buffer.from('abc'), 0, 3);
    a.end();
    deliver();
    expect(events[1].data.toString()).toBe('abc');
    expect(events.map((each) => each.closes)).toEqual([[undefined], [undefined]]);
  });

  test('that is paused leaves written bytes and the end with the writer until it resumes', () => {
    const {a, b, deliver, events} = slow(1_000);
    let written = 0;
    b.pause();
    for (let i = 0; i < 2; i += 1) a.write(Buffer.alloc(600, i), 0, 600, () => (written += 1));
    a.end();
    deliver();
    expect([events[1].bytes, a.bufferedBytes, written, events[1].closes]).toEqual([0, 1_200, 0, []]);
    b.resume();
    expect([events[1].bytes, a.bufferedBytes, written]).toEqual([1_200, 0, 2]);
    expect(events[0].drains).toBe(1);
    expect(events.map((each) => each.closes)).toEqual([[undefined], [undefined]]);
  });

  test('that is paused and dies returns the blocks', () => {
    const {a, b, deliver, events} = slow(1_000);
    let written = 0;
    b.pause();
    a.write(Buffer.alloc(10), 0, 10, () => (written += 1));
    deliver();
    b.destroy();
    deliver();
    expect([events[1].bytes, written, events[0].closes]).toEqual([0, 1, [undefined]]);
  });
});
