// A connection to another member, from its stream's answer on.

import {once} from 'node:events';
import {expect, test} from 'vitest';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import {openedConnection} from '../../../src/lib/network/connections.js';

function opening(signal?: AbortSignal) {
  const stream = {sink: undefined as unknown as StreamSink, reset: () => {}};
  const connection = openedConnection(stream as unknown as Stream, signal);
  return {connection, sink: stream.sink};
}

test('that is accepted and reset at once is refused, and is not opened once more', async () => {
  const {connection, sink} = opening();
  sink.onOpened?.();
  sink.onReset('SESSION_ENDED');
  // With MEMBER_UNREACHABLE a lost session would be asked for another one.
  await expect(connection).rejects.toMatchObject({code: 'UPSTREAM_REFUSED'});
});

test('that is reset later breaks', async () => {
  const {connection, sink} = opening();
  sink.onOpened?.();
  const broken = once(await connection, 'error');
  sink.onReset('SESSION_ENDED');
  expect(await broken).toMatchObject([{code: 'ECONNRESET'}]);
});

test.each([
  ['NOT_ALLOWED', 'NOT_ALLOWED'],
  ['UPSTREAM_TIMEOUT', 'UPSTREAM_REFUSED'],
  ['SESSION_ENDED', 'MEMBER_UNREACHABLE'],
] as const)('refused with %s: %s', async (code, expected) => {
  const {connection, sink} = opening();
  sink.onReset(code);
  await expect(connection).rejects.toMatchObject({code: expected});
});

test('that is given up before, or while it waits: ABORTED', async () => {
  await expect(opening(AbortSignal.abort()).connection).rejects.toMatchObject({code: 'ABORTED'});
  const aborter = new AbortController();
  const {connection} = opening(aborter.signal);
  aborter.abort();
  await expect(connection).rejects.toMatchObject({code: 'ABORTED'});
});
