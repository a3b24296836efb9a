// The ALPN protocol that names a worker. Anybody can send it.

import {expect, test} from 'vitest';
import {workerAmong, workerProtocol} from '../../../src/lib/protocol/worker-protocol.js';

test('a worker is named among other protocols', () => {
  expect(workerAmong(['http/1.1', workerProtocol(7)])).toBe(7);
  expect(workerAmong(['http/1.1'])).toBeUndefined();
  expect(workerAmong([])).toBeUndefined();
});

test.each([
  'tunl-worker-',
  'tunl-worker-0',
  'tunl-worker-01',
  'tunl-worker--1',
  'tunl-worker-65536',
  'tunl-worker-1e3',
])('%s names none', (protocol) => {
  expect(workerAmong([protocol])).toBeUndefined();
});
