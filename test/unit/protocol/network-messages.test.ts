import {createHash, generateKeyPairSync, sign, verify} from 'node:crypto';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {encodeMessage} from '../../../src/lib/protocol/control-messages.js';
import {MalformedMessage} from '../../../src/lib/protocol/fields.js';
import {
  isMemberName,
  isNetworkName,
  isStateSmall,
  memberAddress,
  memberText,
  NETWORK_LIMITS,
  networkOpen,
  networkPrefix,
  parseMemberOffer,
  parseMemberOpen,
  parseNetworkLine,
  parseNetworkOpen,
  parseSignature,
  parseStateLine,
} from '../../../src/lib/protocol/network-messages.js';
import {mangled, optionally} from './arbitraries.js';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/).filter(isMemberName);
const scope = fc.constantFrom('net' as const, 'cluster' as const);
const network = fc.record({scope, network: label});
const port = fc.integer({min: 0, max: 65_535});
const raw = (bytes: number) =>
  fc.uint8Array({minLength: bytes, maxLength: bytes}).map((each) => Buffer.from(each));
const state = fc
  .dictionary(fc.string({maxLength: 10}), fc.jsonValue({maxDepth: 2}), {maxKeys: 4})
  .filter(isStateSmall);
const address = fc.ipV6();

const memberships = fc
  .tuple(network, optionally('member', fc.record({name: label, key: raw(32), accepts: fc.boolean()})))
  .map(([named, member]) => ({...named, ...member}));

const lines = fc.oneof(
  fc.record({challenge: fc.stringMatching(/^[0-9a-f]{64}$/)}),
  fc.record({
    joined: fc
      .tuple(optionally('address', address), optionally('serial', fc.integer({min: 1})))
      .map(([at, serial]) => ({prefix: 'fdaa:1:2::/48', ...at, ...serial})),
  }),
  fc.record({
    members: fc.array(
      fc.record({
        name: label,
        address,
        key: raw(32).map((key) => key.toString('base64url')),
        serial: fc.integer({min: 1}),
        accepts: fc.boolean(),
        state,
      }),
      {maxLength: 5},
    ),
  }),
  fc.record({
    ended: fc.record({
      code: fc.constantFrom('MEMBER_REPLACED' as const, 'NOT_ALLOWED' as const),
      message: label,
    }),
  }),
);

const opens = fc.record({scope, network: label, from: label, to: label, port});
const offers = fc.record({scope, network: label, to: label, from: fc.record({name: label, address}), port});

/** A parser gives back what was written, and throws nothing else than MalformedMessage for anything else. */
const roundTrip = (value: unknown) => JSON.parse(JSON.stringify(value));

describe('messages of networks', () => {
  test('memberships are read as they were written', () => {
    fc.assert(
      fc.property(memberships, (about) => {
        expect(parseNetworkOpen(encodeMessage(networkOpen(about)))).toEqual(about);
      }),
    );
  });

  test.each([
    ['lines of the relay', lines, parseNetworkLine],
    ['OPENs to the relay', opens, parseMemberOpen],
    ['OPENs to an agent', offers, parseMemberOffer],
  ] as const)('%s are read as they were written', (_, messages, parse) => {
    fc.assert(
      fc.property(messages as fc.Arbitrary<object>, (message) => {
        expect(parse(encodeMessage(message))).toEqual(roundTrip(message));
      }),
    );
  });

  test('states and signatures are read as they were written', () => {
    fc.assert(
      fc.property(state, raw(64), (told, signature) => {
        expect(parseStateLine(encodeMessage({state: told}))).toEqual(roundTrip(told));
        expect(parseSignature(encodeMessage({signature: signature.toString('base64url')}))).toEqual(
          signature,
        );
      }),
    );
  });

  test.each([
    ['memberships', memberships.map((each) => networkOpen(each)), parseNetworkOpen],
    ['lines of the relay', lines, parseNetworkLine],
    ['OPENs to the relay', opens, parseMemberOpen],
    ['OPENs to an agent', offers, parseMemberOffer],
    ['states', fc.record({state}), parseStateLine],
    ['signatures', fc.record({signature: fc.string()}), parseSignature],
  ] as const)('mangled %s are refused, or are still of their form', (_, messages, parse) => {
    fc.assert(
      fc.property(mangled(messages as fc.Arbitrary<object>), (message) => {
        try {
          parse(encodeMessage(message as object));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessage);
        }
      }),
    );
  });

  test('any bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        for (const parse of [
          parseNetworkOpen,
          parseNetworkLine,
          parseMemberOpen,
          parseStateLine,
          parseSignature,
        ])
          expect(() => parse(Buffer.from(bytes))).toThrow(MalformedMessage);
      }),
    );
  });

  test('unknown lines are ignored', () => {
    expect(parseNetworkLine(encodeMessage({weather: 'fine'}))).toBeUndefined();
    expect(parseStateLine(encodeMessage({weather: 'fine'}))).toBeUndefined();
  });

  test.each([
    ['a scope that does not exist', {scope: 'name', network: 'lab'}],
    ['no network', {scope: 'net'}],
    ['a network with a dot', {scope: 'net', network: 'a.b'}],
    ['a pattern as network', {scope: 'net', network: '*'}],
    ['a network in upper case', {scope: 'net', network: 'Lab'}],
    ['a name without a key', {scope: 'net', network: 'lab', name: 'a'}],
    ['a key without a name', {scope: 'net', network: 'lab', key: Buffer.alloc(32).toString('base64url')}],
    [
      'a key of 31 bytes',
      {scope: 'net', network: 'lab', name: 'a', key: Buffer.alloc(31).toString('base64url')},
    ],
    [
      'a key with padding',
      {scope: 'net', network: 'lab', name: 'a', key: Buffer.alloc(32).toString('base64')},
    ],
    // The last character has two bits too many, so the same key could be written in several ways.
    ['a key with bits to spare', {scope: 'net', network: 'lab', name: 'a', key: `${'A'.repeat(42)}B`}],
    [
      'the name localhost',
      {scope: 'net', network: 'lab', name: 'localhost', key: Buffer.alloc(32).toString('base64url')},
    ],
  ])('%s is refused', (_, about) => {
    expect(() => parseNetworkOpen(encodeMessage({service: 'network', ...about}))).toThrow(MalformedMessage);
  });

  test('limits', () => {
    const longest = 'x'.repeat(NETWORK_LIMITS.nameCharacters);
    expect([isNetworkName(longest), isNetworkName(`${longest}x`)]).toEqual([true, false]);
    // `{"":"…"}` has seven bytes besides the text.
    const most = {'': 'x'.repeat(NETWORK_LIMITS.stateBytes - 7)};
    expect(parseStateLine(encodeMessage({state: most}))).toEqual(most);
    expect(() => parseStateLine(encodeMessage({state: {...most, a: 1}}))).toThrow(MalformedMessage);
    const member = {
      name: 'a',
      address: '::1',
      key: Buffer.alloc(32).toString('base64url'),
      serial: 1,
      state: {},
    };
    const members = Array(NETWORK_LIMITS.members).fill(member);
    expect(parseNetworkLine(encodeMessage({members}))).toMatchObject({members: {length: 256}});
    expect(() => parseNetworkLine(encodeMessage({members: [...members, member]}))).toThrow(MalformedMessage);
  });

  test('the longest roster fits into a line', () => {
    const longest = 'x'.repeat(NETWORK_LIMITS.nameCharacters);
    const member = {
      ...{
        name: longest,
        address: 'ffff:'.repeat(8).slice(0, -1),
        key: Buffer.alloc(32, 255).toString('base64url'),
      },
      ...{serial: Number.MAX_SAFE_INTEGER, accepts: false},
      state: {'': 'x'.repeat(NETWORK_LIMITS.stateBytes - 7)},
    };
    const line = encodeMessage({members: Array(NETWORK_LIMITS.members).fill(member)});
    expect(line.length).toBeLessThan(NETWORK_LIMITS.relayLineBytes);
  });
});

describe('addresses', () => {
  const lab = {scope: 'net', network: 'lab'} as const;
  const key = Buffer.alloc(32, 7);

  test('they are hashes of the network and the key', () => {
    const id = createHash('sha256').update('tunl network v1\0r1.example\0net\0lab').digest('hex').slice(0, 8);
    const own = createHash('sha256').update('tunl i6pn v1\0').update(key).digest('hex').slice(0, 20);
    const groups = (digits: string) =>
      digits.match(/.{4}/g)?.map((group) => Number.parseInt(group, 16).toString(16));
    expect(networkPrefix('R1.example', lab)).toBe(`fdaa:${groups(id)?.join(':')}::/48`);
    expect(memberAddress('r1.example', lab, key)).toBe(`fdaa:${groups(id + own)?.join(':')}`);
  });

  test('another relay, scope or name is another network', () => {
    const prefixes = [
      networkPrefix('r1.example', lab),
      networkPrefix('r2.example', lab),
      networkPrefix('r1.example', {...lab, scope: 'cluster'}),
      networkPrefix('r1.example', {...lab, network: 'lab2'}),
    ];
    expect(new Set(prefixes).size).toBe(4);
  });

  test('they are written as systems write them', () => {
    fc.assert(
      fc.property(label, raw(32), (name, each) => {
        const address = memberAddress('r1.example', {scope: 'net', network: name}, each);
        expect(new URL(`http://[${address}]`).hostname).toBe(`[${address}]`);
      }),
    );
  });
});

test('a signature is for one relay, network, name and challenge', () => {
  const {privateKey, publicKey} = generateKeyPairSync('ed25519');
  const proof = {
    relay: 'r1.example',
    scope: 'net',
    network: 'lab',
    name: 'a',
    challenge: '0'.repeat(64),
  } as const;
  const signature = sign(null, memberText(proof), privateKey);
  expect(verify(null, memberText({...proof, relay: 'R1.example'}), publicKey, signature)).toBe(true);
  for (const other of [
    {relay: 'r2.example'},
    {scope: 'cluster' as const},
    {network: 'b'},
    {name: 'b'},
    {challenge: '1'.repeat(64)},
  ])
    expect(verify(null, memberText({...proof, ...other}), publicKey, signature)).toBe(false);
});
