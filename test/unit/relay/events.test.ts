// Listeners of a relay, and the log lines of its events.

import {expect, test} from 'vitest';
import type {LogRecord} from '../../../src/lib/core/logger.js';
import {logEvents} from '../../../src/lib/relay/event-log.js';
import {type RelayEvent, RelayEvents} from '../../../src/lib/relay/events.js';

test('when a listener throws, the others still get the event', () => {
  const failures: unknown[] = [];
  const heard: string[] = [];
  const events = new RelayEvents((error) => failures.push(error));
  const failure = new Error('no');
  events.listen(() => {
    throw failure;
  });
  events.listen(({type}) => heard.push(type));
  events.emit({type: 'token-refused', from: '203.0.113.7'});
  expect([heard, failures]).toEqual([['token-refused'], [failure]]);
});

const from = '203.0.113.7';

test.each<[RelayEvent, LogRecord['level'], string, Record<string, unknown>]>([
  [
    {type: 'agent-connected', session: 'a', owner: 'token:1', tokenId: undefined, from},
    'info',
    'agent connected',
    {session: 'a', owner: 'token:1', tokenId: undefined, from},
  ],
  [{type: 'agent-away', session: 'a', reason: 'gone'}, 'info', 'link lost', {session: 'a', reason: 'gone'}],
  [{type: 'agent-resumed', session: 'a', epoch: 1}, 'info', 'link resumed', {session: 'a', epoch: 1}],
  [{type: 'agent-gone', session: 'a', code: undefined}, 'info', 'agent gone', {session: 'a'}],
  [
    {type: 'agent-gone', session: 'a', code: 'PROTOCOL'},
    'info',
    'agent gone',
    {session: 'a', code: 'PROTOCOL'},
  ],
  [
    {type: 'certificate-expired', certFile: 'a.pem', validTo: 'today'},
    'error',
    'the certificate has expired, so visitors do not trust it',
    {certFile: 'a.pem', validTo: 'today'},
  ],
  [{type: 'token-refused', from, times: 19}, 'info', 'a token was refused', {from, times: 19}],
  [
    {type: 'turned-away', because: 'no-room', from},
    'warn',
    'connections are refused: no descriptors or memory are left',
    {from},
  ],
  [
    {type: 'turned-away', because: 'failures', times: 3},
    'info',
    'connections are refused: too many connections from this source failed',
    {times: 3},
  ],
])('%j is a line of the log', (event, level, message, fields) => {
  const records: LogRecord[] = [];
  const listener = logEvents((record) => void records.push(record));
  listener(event);
  listener(event, 3);
  const line = {level, scope: 'relay', message, event: event.type};
  expect(records).toEqual([
    {...line, fields},
    {...line, fields: {...fields, worker: 3}},
  ]);
});
