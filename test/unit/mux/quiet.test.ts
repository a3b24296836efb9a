import {expect, test} from 'vitest';
import {Quiet} from '../../../src/lib/mux/quiet.js';

const KIB = 1024;

/** A stream that sends as the sender allows it: only quiet frames are counted. */
function setUp() {
  const quiet = new Quiet();
  const talker = {lull: -1, urgentBytes: 0};
  const send = (length: number) => {
    const isQuiet = quiet.includes(talker, length);
    if (isQuiet) talker.urgentBytes += length;
    return isQuiet;
  };
  return {quiet, send};
}

test('a stream is quiet up to 16 KiB', () => {
  const {send} = setUp();
  expect([send(10 * KIB), send(6 * KIB), send(1)]).toEqual([true, true, false]);
});

test('one large piece is not quiet, and does not use up the allowance of small ones', () => {
  const {send} = setUp();
  expect([send(17 * KIB), send(16 * KIB)]).toEqual([false, true]);
});

test('when everything has left the count begins again', () => {
  const {quiet, send} = setUp();
  send(16 * KIB);
  quiet.flushed('done', 0, 16 * KIB);
  expect(send(16 * KIB)).toBe(true);
});

test('on a link that keeps up the count begins again after 10 ms', () => {
  const {quiet, send} = setUp();
  quiet.flushed('done', 100, 0);
  send(16 * KIB);
  quiet.flushed('keeps-up', 110, 0);
  expect(send(1)).toBe(false);
  quiet.flushed('keeps-up', 111, 0);
  expect(send(1)).toBe(true);
});

test('on a link that is behind the count ignores time: only the bytes of all streams matter', () => {
  const {quiet, send} = setUp();
  quiet.flushed('done', 100, 1_000);
  send(16 * KIB);
  quiet.flushed('behind', 3_600_000, 1_000 + 512 * KIB);
  expect(send(1)).toBe(false);
  quiet.flushed('behind', 3_600_000, 1_000 + 512 * KIB + 1);
  expect(send(1)).toBe(true);
});
