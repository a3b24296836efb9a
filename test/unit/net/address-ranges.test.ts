// Sets of addresses, in all spellings.

import {expect, test} from 'vitest';
import {AddressRanges} from '../../../src/lib/net/address-ranges.js';

test.each<[range: string, inside: string[], outside: string[]]>([
  [
    '192.0.2.7',
    ['192.0.2.7', '::ffff:192.0.2.7', '::ffff:c000:207', '::FFFF:192.0.2.7'],
    ['192.0.2.8', '::192.0.2.7'],
  ],
  [
    '203.0.113.0/24',
    ['203.0.113.0', '203.0.113.255', '::ffff:203.0.113.9'],
    ['203.0.112.255', '203.0.114.0'],
  ],
  // The bits after the prefix do not matter.
  ['203.0.113.77/24', ['203.0.113.0'], ['203.0.114.77']],
  ['10.0.0.0/9', ['10.127.255.255'], ['10.128.0.0']],
  ['192.0.2.7/32', ['192.0.2.7'], ['192.0.2.6']],
  ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255', '::ffff:1.2.3.4'], ['::', '2001:db8::1', '::1']],
  ['2001:db8::/32', ['2001:db8::', '2001:DB8:ffff::1', '2001:0db8:0:0:0:0:0:1'], ['2001:db9::', '192.0.2.7']],
  ['2001:db8::5/61', ['2001:db8:0:7::1'], ['2001:db8:0:8::']],
  ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::2', '127.0.0.1']],
  ['fe80::1', ['fe80::1', 'fe80::1%eth0'], ['fe80::2%eth0']],
  // All of IPv6, and none of IPv4.
  ['::/0', ['::', 'ffff::', '::1'], ['127.0.0.1', '::ffff:127.0.0.1']],
  ['::ffff:192.0.2.0/120', ['192.0.2.9', '::ffff:192.0.2.9'], ['192.0.3.9']],
  ['::ffff:192.0.2.7', ['192.0.2.7'], ['192.0.2.8']],
  ['::ffff:0:0/96', ['192.0.2.7', '::ffff:192.0.2.7'], ['::1']],
])('%s', (range, inside, outside) => {
  const ranges = new AddressRanges([range]);
  expect(inside.filter((address) => !ranges.has(address))).toEqual([]);
  expect(outside.filter((address) => ranges.has(address))).toEqual([]);
});

test('several ranges of both families are one set', () => {
  const ranges = new AddressRanges(['192.0.2.7', '10.0.0.0/8', '2001:db8::/32']);
  for (const inside of ['192.0.2.7', '10.1.1.1', '2001:db8::1'])
    expect([inside, ranges.has(inside)]).toEqual([inside, true]);
  for (const outside of ['', 'constructor', '::', '192.0.2.6', '1.2.3', '[::1]'])
    expect([outside, ranges.has(outside)]).toEqual([outside, false]);
});

test.each([
  '',
  '10.0.0.0/33',
  '10.0.0.0/',
  '10.0.0/8',
  '::/129',
  '10.0.0.0/8/9',
  'lb.example.net',
  '10.0.0.1/-1',
  'fe80::1%eth0',
  '010.0.0.1',
  '10.0.0.0/ 8',
  '0x7f000001',
  '[::1]',
  '*',
  '10.0.0.1,10.0.0.2',
])('%j is no range', (range) => {
  expect(() => new AddressRanges([range])).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});
