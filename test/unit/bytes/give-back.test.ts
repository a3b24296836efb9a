// Memory that is released at once.

import {expect, test} from 'vitest';
import {giveBack} from '../../../src/lib/bytes/give-back.js';

test('a buffer with its own memory is empty afterwards', () => {
  const buffer = Buffer.alloc(60_000, 'x');
  giveBack(buffer);
  expect([buffer.length, buffer.buffer.byteLength]).toEqual([0, 0]);
  giveBack(buffer);
});

test('a buffer that shares its memory stays unchanged', () => {
  const shared = Buffer.alloc(60_000, 'x');
  giveBack(shared.subarray(0, 100));
  giveBack(Buffer.from('small ones come from a pool'));
  expect(shared.toString()).toBe('x'.repeat(60_000));
});
