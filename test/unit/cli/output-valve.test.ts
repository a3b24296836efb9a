// The output of a program for a reader that stops: the dropped output is reported once, when the reader continues.

import {expect, test} from 'vitest';
import {outputValve} from '../../../src/lib/cli/output-valve.js';

test('a reader that has stopped gets no more, and a report when it continues', () => {
  const reader = {writableLength: 0};
  let written = '';
  const pass = outputValve((bytes) => (written += Buffer.from(bytes).toString()), reader);
  pass(Buffer.from('first\n'));
  reader.writableLength = 9 * 1024 * 1024;
  pass(Buffer.alloc(1_000_000, 'x'));
  pass(Buffer.alloc(500_000, 'x'));
  reader.writableLength = 100;
  pass(Buffer.from('after\n'));
  pass(Buffer.from('that\n'));
  expect(written).toMatch(
    /^first\n\n\[1\.5 MB of output are left out here: they were not read\]\nafter\nthat\n$/,
  );
});
