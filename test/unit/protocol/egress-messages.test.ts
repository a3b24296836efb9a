// The messages about egress, as the relay and agents read them.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {encodeMessage} from '../../../src/lib/protocol/control-messages.js';
import {
  type EgressOpen,
  isEgressName,
  MAX_EGRESS_ADDRESSES,
  MAX_EGRESSES,
  MAX_RESOLVED,
  parseEgressOpen,
  parseResolveOpen,
  readEgressList,
  readResolveAnswer,
} from '../../../src/lib/protocol/egress-messages.js';
import {MalformedMessage} from '../../../src/lib/protocol/fields.js';
import {mangled} from './arbitraries.js';

const open = {egress: 'my-proxy', host: 'db.corp', port: 5432};

const hosts = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
const opens: fc.Arbitrary<EgressOpen> = fc.record({
  egress: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,62}$/),
  host: hosts.filter((each) => each.length <= 253).map((each) => each.toLowerCase()),
  port: fc.integer({min: 1, max: 65_535}),
  spread: fc.boolean(),
});

describe('the OPEN of an egress', () => {
  test('comes out as it was sent, and ignores fields of a later version', () => {
    fc.assert(
      fc.property(opens, (each) => {
        expect(parseEgressOpen(encodeMessage({...each, later: 1}))).toEqual(each);
      }),
    );
  });

  test('has no spread unless asked for, and a host in lower case', () => {
    expect(parseEgressOpen(encodeMessage({...open, host: 'DB.Corp'}))).toEqual({...open, spread: false});
  });

  test.each([
    ['no egress', {...open, egress: undefined}],
    ['a pattern in place of a name', {...open, egress: '*'}],
    ['a name in capitals', {...open, egress: 'My-Proxy'}],
    ['a name that begins with a hyphen', {...open, egress: '-proxy'}],
    ['a name over 63 characters', {...open, egress: 'p'.repeat(64)}],
    ['no host', {...open, host: ''}],
    ['a host that is a number', {...open, host: 2_130_706_433}],
    ['a host with a space', {...open, host: 'db corp'}],
    ['a host with a line feed', {...open, host: 'db.corp\n'}],
    ['a host with a zero byte', {...open, host: 'db.corp\u0000.example.com'}],
    ['a host with letters outside ASCII', {...open, host: '１２７.0.0.1'}],
    ['a host over 253 characters', {...open, host: 'h'.repeat(254)}],
    ['a port of 0', {...open, port: 0}],
    ['a port over 65,535', {...open, port: 65_536}],
    ['a port with a fraction', {...open, port: 80.5}],
    ['a port as text', {...open, port: '80'}],
    ['a spread that is no switch', {...open, spread: 'yes'}],
  ])('with %s is refused', (_what, value) => {
    expect(() => parseEgressOpen(encodeMessage(value))).toThrow(MalformedMessage);
  });
});

test('a look-up has an egress and a name', () => {
  const about = {service: 'resolve', egress: 'my-proxy', name: 'DB.corp'};
  expect(parseResolveOpen(encodeMessage(about))).toEqual({egress: 'my-proxy', name: 'db.corp'});
  expect(() => parseResolveOpen(encodeMessage({...about, name: undefined}))).toThrow(MalformedMessage);
});

test('an agent reads the list of egresses', () => {
  const egresses = [
    {name: 'my-proxy', addresses: [{address: '203.0.113.1', healthy: true}]},
    {name: 'six', addresses: [{address: '2001:db8::1', healthy: false}]},
  ];
  expect(readEgressList({egresses})).toEqual(egresses);
  const [one] = egresses;
  const address = one?.addresses[0];
  for (const wrong of [
    {},
    {egresses: {}},
    {egresses: Array(MAX_EGRESSES + 1).fill(one)},
    {egresses: [{...one, addresses: Array(MAX_EGRESS_ADDRESSES + 1).fill(address)}]},
    {egresses: [{...one, addresses: [{...address, address: 'x;id'}]}]},
    {egresses: [{...one, name: '\u001b]0;x'}]},
  ])
    expect(() => readEgressList(wrong)).toThrow(MalformedMessage);
});

test('an agent reads the answer to a look-up', () => {
  expect(readResolveAnswer({addresses: ['192.0.2.1', '2001:db8::1']})).toEqual({
    addresses: ['192.0.2.1', '2001:db8::1'],
  });
  expect(readResolveAnswer({addresses: []})).toEqual({addresses: []});
  expect(readResolveAnswer({error: 'ENOTFOUND'})).toEqual({error: 'ENOTFOUND'});
  for (const wrong of [
    {error: 'ELSE'},
    {addresses: ['db.corp']},
    {addresses: [1]},
    {addresses: Array(MAX_RESOLVED + 1).fill('192.0.2.1')},
    [],
    null,
    'x',
  ])
    expect(() => readResolveAnswer(wrong)).toThrow(MalformedMessage);
});

describe('hostile input', () => {
  /** Returns a value in its type, or throws MalformedMessage. */
  const settles = (read: () => unknown) => {
    try {
      read();
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedMessage);
    }
  };

  test('is read or refused, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 200}), (bytes) => {
        settles(() => parseEgressOpen(Buffer.from(bytes)));
        settles(() => parseResolveOpen(Buffer.from(bytes)));
      }),
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        settles(() => readEgressList(value));
        settles(() => readResolveAnswer(value));
      }),
    );
    fc.assert(
      fc.property(mangled(opens), (value) => {
        const about = encodeMessage(value as object);
        settles(() => {
          const {egress, host, port, spread} = parseEgressOpen(about);
          expect(isEgressName(egress)).toBe(true);
          expect(host).toMatch(/^[!-~]{1,253}$/);
          expect(Number.isInteger(port) && port >= 1 && port <= 65_535).toBe(true);
          expect(typeof spread).toBe('boolean');
        });
      }),
    );
  });
});
