// The output of a program for a reader that stops: the dropped output is reported once, when the reader continues.

import {expect, test} from 'vitest';
import {outputValve} from '../../../src/lib/cli/output-valve.js';

test('a reader that has stopped gets no more, and a report when it continues', () => {
  const reader = {writableLength: 0};
  let written = '';
  const pass = outputValve((text) => (written += text), reader);
  pass('first\n');
  reader.writableLength = 9 * 1024 * 1024;
  pass('x'.repeat(1_000_000));
  pass('x'.repeat(500_000));
  reader.writableLength = 100;
  pass('after\n');
  pass('that\n');
  expect(written).toMatch(
    /^first\n\n\[1\.5 MB of output are left out here: they were not read\]\nafter\nthat\n$/,
  );
});
