import {expect, test} from 'vitest';
import {knownAddresses} from '../../../src/lib/net/localhost.js';

test.each([
  ['anything.at.all.localhost', ['127.0.0.1', '::1']],
  ['LocalHost', ['127.0.0.1', '::1']],
  ['192.0.2.1', ['192.0.2.1']],
  ['fe80::1%lo', ['fe80::1%lo']],
  ['notlocalhost', undefined],
])('%s needs no resolver: %j', (host, addresses) => {
  expect(knownAddresses(host)).toEqual(addresses);
});
