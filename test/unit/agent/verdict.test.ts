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
  ['the first attempt is the only one', busy, {isFirst: true}, 'final'],
  ['unless it may take its time', busy, {isFirst: true, waits: true, hasServed: false}, 'later'],
  ['a wrong token does not become right', refused, {isFirst: true, waits: true, hasServed: false}, 'final'],
  ['an agent that serves is ended by its relay alone', refused, {}, 'final'],
  ['what stands between them may say anything', new TunlError('TOKEN_WRONG'), {}, 'later'],
  ['a relay that another one has named decides nothing', refused, {triedElsewhere: true}, 'later'],
  ['a session that the relay does not have is given up', unknown, {}, 'new-session'],
  ['once', unknown, {hasSession: false}, 'later'],
  ['also elsewhere', unknown, {triedElsewhere: true}, 'new-session'],
])('%s', (_, error, facts, verdict) => {
  expect(verdictOn(error, {...SERVING, ...facts})).toBe(verdict);
});
