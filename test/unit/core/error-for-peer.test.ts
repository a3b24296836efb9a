// Errors that only tell a peer why.

import {expect, test} from 'vitest';
import {errorForPeer, TunlError} from '../../../src/lib/core/errors.js';

test('an error for a peer is like others, but has no stack; others keep theirs', () => {
  const error = errorForPeer('TOO_MANY_TUNNELS', {reason: 'Enough.'});
  expect(error).toBeInstanceOf(TunlError);
  expect([error.code, error.message]).toEqual(['TOO_MANY_TUNNELS', 'Enough.']);
  expect(error.stack).not.toMatch(/\n\s+at /);
  expect(new TunlError('TOO_MANY_TUNNELS').stack).toMatch(/\n\s+at /);
});
