import {expect, test} from 'vitest';
import {closeError} from '../../../src/lib/mux/close-error.js';
import {VIOLATION_CODES} from '../../../src/lib/protocol/wire.js';

test('an orderly end is no error', () => {
  expect(closeError('CLOSED', 'closed')).toBeUndefined();
});

test.each([
  ...VIOLATION_CODES,
  'SESSION_RANGE',
  'TAKEN_OVER',
  'RELAY_BUSY',
  'TOKEN_WRONG',
  'TOKEN_REVOKED',
  'TOKEN_EXPIRED',
  'KICKED',
  'BLOCKED',
])('%s keeps its code and the peer’s message', (code) => {
  expect(closeError(code, 'why')).toMatchObject({code, message: expect.stringContaining('why')});
});

// The peer may not decide the exit code of this process, or blame its user.
test.each(['UNEXPECTED', 'USAGE', 'constructor', '__proto__', '', 'A_CODE_OF_TOMORROW'])(
  '%j counts as a lost relay',
  (code) => {
    expect(closeError(code, 'why')).toMatchObject({code: 'RELAY_LOST'});
  },
);
