// The addresses that a tunnel takes visitors from.

import {expect, test} from 'vitest';
import {AddressFilter} from '../../../src/lib/net/address-filter.js';
import type {AddressRules} from '../../../src/lib/protocol/control-messages.js';

test.each<[rules: AddressRules, inside: string[], outside: string[]]>([
  [{}, ['192.0.2.7', '::1'], []],
  [{allow: []}, ['192.0.2.7', '::1'], []],
  [{allow: ['192.0.2.0/24']}, ['192.0.2.7'], ['192.0.3.7', '::1', 'no address']],
  [{deny: ['192.0.2.0/24']}, ['192.0.3.7', '::1'], ['192.0.2.7', '::ffff:192.0.2.7']],
  [{allow: ['192.0.2.0/24'], deny: ['192.0.2.7']}, ['192.0.2.8'], ['192.0.2.7', '10.0.0.1']],
  [{allow: ['192.0.2.7'], deny: ['192.0.2.0/24']}, [], ['192.0.2.7', '192.0.2.8']],
])('%j', (rules, inside, outside) => {
  const filter = new AddressFilter(rules);
  expect(inside.filter((address) => !filter.admits(address))).toEqual([]);
  expect(outside.filter((address) => filter.admits(address))).toEqual([]);
});
