import {expect, test} from 'vitest';
import {isLoopback, knownAddresses} from '../../../src/lib/net/localhost.js';

test.each([
  ['localhost', true],
  ['LOCALHOST', true],
  ['localhost.', true],
  ['relay.tunl.localhost', true],
  ['127.0.0.1', true],
  ['127.9.8.7', true],
  ['::1', true],
  ['notlocalhost', false],
  ['localhost.example', false],
  ['128.0.0.1', false],
  ['127.example', false],
  ['::2', false],
])('%s is loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

test.each([
  ['anything.at.all.localhost', ['127.0.0.1', '::1']],
  ['LocalHost', ['127.0.0.1', '::1']],
  ['192.0.2.1', ['192.0.2.1']],
  ['fe80::1%lo', ['fe80::1%lo']],
  ['notlocalhost', undefined],
])('%s needs no resolver: %j', (host, addresses) => {
  expect(knownAddresses(host)).toEqual(addresses);
});
