// Memory that is given back at once.

import {expect, test} from 'vitest';
import {giveBack} from '../../../src/lib/bytes/give-back.js';

test('a buffer with memory of its own is empty afterwards', () => {
  const buffer = Buffer.alloc(60_000, 'x');
  giveBack(buffer);
  expect([buffer.length, buffer.buffer.byteLength]).toEqual([0, 0]);
  giveBack(buffer);
});

test('a buffer that shares its memory is left alone', () => {
  const shared = Buffer.alloc(60_000, 'x');
  giveBack(shared.subarray(0, 100));
  giveBack(Buffer.from('small ones come from a pool'));
  expect(shared.toString()).toBe('x'.repeat(60_000));
});
