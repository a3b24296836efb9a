// A program's output and a reader that stops: what is left out is said, once, when it reads again.

import {expect, test} from 'vitest';
import {outputValve} from '../../../src/lib/cli/output-valve.js';

test('a reader that has stopped is given no more, and told when it goes on', () => {
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
