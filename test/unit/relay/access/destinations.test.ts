// The destinations of a token: what the rules allow, and which texts are none.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {destinationsOf, parseDestination} from '../../../../src/lib/relay/access/destinations.js';
import {parseRecords, textOf} from '../../../../src/lib/relay/access/token-record.js';

type Place = readonly [host: string, port: number];

const CASES: readonly [rule: string, allowed: Place[], denied: Place[]][] = [
  [
    'db.corp:5432',
    [
      ['db.corp', 5432],
      ['DB.Corp', 5432],
      ['db.corp.', 5432],
    ],
    [
      ['db.corp', 5433],
      ['x.db.corp', 5432],
      ['db.corp.example.com', 5432],
      ['xdb.corp', 5432],
      ['10.0.0.1', 5432],
    ],
  ],
  [
    '*.example.com:443',
    [
      ['a.example.com', 443],
      ['a.b.example.com', 443],
    ],
    [
      ['example.com', 443],
      ['aexample.com', 443],
      ['a.example.com', 80],
      ['a.example.com.evil.net', 443],
    ],
  ],
  [
    '203.0.113.7:8000-8100',
    [
      ['203.0.113.7', 8000],
      ['203.0.113.7', 8100],
      ['::ffff:203.0.113.7', 8050],
    ],
    [
      ['203.0.113.7', 7999],
      ['203.0.113.7', 8101],
      ['203.0.113.8', 8000],
      ['203.0.113.7.example.com', 8000],
    ],
  ],
  [
    '[2001:DB8:0::1]:443',
    [
      ['2001:db8::1', 443],
      ['2001:0db8:0:0:0:0:0:1', 443],
    ],
    [
      ['2001:db8::2', 443],
      ['2001:db8::1%eth0', 443],
    ],
  ],
  [
    'db.corp:*',
    [
      ['db.corp', 1],
      ['db.corp', 65_535],
    ],
    [['other.corp', 1]],
  ],
  [
    '*:443',
    [
      ['a.example.com', 443],
      ['203.0.113.7', 443],
    ],
    [
      ['a.example.com', 80],
      // No host at all.
      ['0x7f.1', 443],
      ['127.1', 443],
      ['a b', 443],
    ],
  ],
];

describe.each(CASES)('%s', (rule, allowed, denied) => {
  const destinations = destinationsOf([parseDestination(rule)]);
  test.each(allowed)('allows %s port %i', (host, port) => {
    expect(destinations.allow(host, port)).toBe(true);
    expect(destinations.allowHost(host)).toBe(true);
  });
  test.each(denied)('denies %s port %i', (host, port) => {
    expect(destinations.allow(host, port)).toBe(false);
  });
});

test.each([
  '',
  ':',
  'db.corp',
  'db.corp:',
  ':5432',
  'db.corp:0',
  'db.corp:65536',
  'db.corp:10-9',
  'db.corp:http',
  'db.corp:1-2-3',
  '*.:443',
  '*.*.example.com:443',
  'a*.example.com:443',
  '**:443',
  '2001:db8::1:443',
  '[2001:db8::1]',
  '[db.corp]:443',
  '127.1:80',
  '0x7f000001:80',
  'https://db.corp:443',
  'db.corp/x:443',
  'a b:443',
  `${'a'.repeat(400)}:443`,
])('%j is no destination', (text) => {
  expect(() => parseDestination(text)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
  expect(destinationsOf([text]).allow('db.corp', 443)).toBe(false);
});

test('what is stored is read back as it is', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.tuple(fc.domain(), fc.nat(70_000)).map((each) => each.join(':')),
  );
  fc.assert(
    fc.property(texts, (text) => {
      let stored: string;
      try {
        stored = parseDestination(text);
      } catch {
        return;
      }
      expect(parseDestination(stored)).toBe(stored);
    }),
  );
});

test('without rules everything is allowed, and with an empty list nothing', () => {
  expect(destinationsOf(undefined).allow('db.corp', 5432)).toBe(true);
  expect(destinationsOf([]).allow('db.corp', 5432)).toBe(false);
  expect(destinationsOf([]).allowHost('db.corp')).toBe(false);
});

test('the file of tokens keeps them, and a list that cannot be read makes it invalid', () => {
  const record = {
    id: 'k3f9a2m7qx'.replace(/[^a-z2-7]/g, 'a'),
    name: 'job',
    kind: 'agent',
    owner: 'ana',
    scopes: ['egress:db'],
    limits: {},
    hash: 'A'.repeat(43),
    createdAt: '2026-05-01T17:00:00.000Z',
  };
  const allow = ['db.corp:5432'];
  expect(parseRecords(textOf([{...record, allow}]))).toEqual([{...record, allow}]);
  expect(parseRecords(textOf([record]))).toEqual([record]);
  const broken = textOf([{...record, allow: [1] as unknown as string[]}]);
  expect(() => parseRecords(broken)).toThrow(/allow/);
});
