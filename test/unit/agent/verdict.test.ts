// The consequence of a failed attempt to get a link: another attempt later, an attempt without the session, or the end.

import {expect, test} from 'vitest';
import {type AttemptFacts, verdictOn} from '../../../src/lib/agent/verdict.js';
import {TunlError} from '../../../src/lib/core/errors.js';

const SERVING: AttemptFacts = {
  isFirst: false,
  waits: false,
  hasSession: true,
  hasServed: true,
  triedElsewhere: false,
};
const refused = new TunlError('TOKEN_WRONG', {fromRelay: true});
const unknown = new TunlError('SESSION_UNKNOWN', {fromRelay: true});
const busy = new TunlError('RELAY_BUSY');

test.each<[string, TunlError, Partial<AttemptFacts>, string]>([
  ['a first attempt without --wait', busy, {isFirst: true}, 'final'],
  [
    'a temporary failure of a first attempt with --wait',
    busy,
    {isFirst: true, waits: true, hasServed: false},
    'later',
  ],
  ['a wrong token with --wait', refused, {isFirst: true, waits: true, hasServed: false}, 'final'],
  ['a refusal of the token while the agent serves', refused, {}, 'final'],
  ['an error that the relay itself did not send', new TunlError('TOKEN_WRONG'), {}, 'later'],
  ['a refusal of a relay that another one has named', refused, {triedElsewhere: true}, 'later'],
  ['a resume of a session that the relay does not have', unknown, {}, 'new-session'],
  ['the same error without a session', unknown, {hasSession: false}, 'later'],
  ['the same error of a relay that another one has named', unknown, {triedElsewhere: true}, 'new-session'],
])('%s', (_, error, facts, verdict) => {
  expect(verdictOn(error, {...SERVING, ...facts})).toBe(verdict);
});
