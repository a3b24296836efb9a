// The addresses that stand for many people.

import {expect, test} from 'vitest';
import {trustedSources} from '../../../../src/lib/relay/doors/trusted.js';

test('addresses and ranges, of both kinds', () => {
  const isTrusted = trustedSources(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', 'fe80::1']);
  for (const inside of ['10.255.0.1', '192.0.2.7', '2001:db8:9::1', 'fe80::1%eth0'])
    expect([inside, isTrusted(inside)]).toEqual([inside, true]);
  for (const outside of ['11.0.0.1', '192.0.2.8', '2001:db9::1', '::1', '', 'constructor'])
    expect([outside, isTrusted(outside)]).toEqual([outside, false]);
});

test('no address is trusted unless it is named', () => {
  expect(trustedSources([])('127.0.0.1')).toBe(false);
});

test('what is no range is refused', () => {
  expect(() => trustedSources(['lb.example.net'])).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});
