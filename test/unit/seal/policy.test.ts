// What the rules of a sealed network allow.
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {addressText} from '../../../src/lib/net/address-bytes.js';
import {Policy} from '../../../src/lib/seal/policy.js';
import {parseEgress} from '../../../src/lib/seal/rules.js';

const OWN = '198.51.100.1';
const policy = (text: string) => new Policy(parseEgress(text), (address) => address === OWN);

describe('names', () => {
  const list = policy('a.example:80,*.wild.example:443,192.0.2.7:22');

  test.each<[string, boolean, number[]]>([
    ['a.example', true, [80]],
    ['b.a.example', false, []],
    ['example', false, []],
    ['xa.example', false, []],
    ['wild.example', false, []],
    ['x.wild.example', true, [443]],
    ['x.y.wild.example', true, [443]],
    ['evilwild.example', false, []],
    ['x.wild.example.evil.example', false, []],
    ['192.0.2.7', true, []],
    ['constructor', false, []],
  ])('%s: looked up %s, ports %j', (name, isKnown, ports) => {
    if (name !== '192.0.2.7') expect(list.hasName(name)).toBe(isKnown);
    expect([22, 80, 443].filter((port) => list.allowsName(name, port))).toEqual(ports);
  });

  test('none has none, the internet has all', () => {
    expect(policy('none').hasName('a.example')).toBe(false);
    expect(policy('none').allowsName('a.example', 80)).toBe(false);
    expect(policy('internet').hasName('a.example')).toBe(true);
    expect(policy('internet').allowsName('a.example', 80)).toBe(true);
  });
});

/** Spellings of addresses that no name and no program may lead to. */
const INNER = [
  ...['127.0.0.1', '127.255.0.3', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  ...[
    '169.254.169.254',
    '100.64.0.1',
    '100.127.255.255',
    '192.0.0.8',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
  ],
];

const SIX = [
  ...[
    '::',
    '::1',
    'fe80::1',
    'fc00::1',
    'fdff::1',
    'fd00:ec2::254',
    'ff02::1',
    'fec0::1',
    '100::1',
    '64:ff9b:1::1',
  ],
  ...['2001::1', '2002:7f00:1::', '::127.0.0.1', '::10.0.0.1'],
];

describe('addresses', () => {
  const embedded = INNER.flatMap((each) => [each, `::ffff:${each}`, `64:ff9b::${each}`]);
  test.each([...embedded, ...SIX, OWN, `::ffff:${OWN}`])('%s is no address of the internet', (address) => {
    const internet = policy('internet');
    expect(internet.refuseLiteral(address, 80)).toBe('not-public');
    expect(internet.mayDial(address, 80)).toBe(false);
    expect(internet.mayAnswer(address)).toBe(false);
    expect(policy('a.example:80').mayDial(address, 80)).toBe(false);
  });

  test('an operator may name each of them, in any spelling, with its port', () => {
    const spelled = fc
      .uint8Array({minLength: 4, maxLength: 4})
      .map((bytes) => addressText(Buffer.from(bytes)));
    fc.assert(
      fc.property(spelled, fc.integer({min: 54, max: 65_534}), (address, port) => {
        const list = policy(`${address}:${port}`);
        for (const spelling of [address, `::ffff:${address}`, `0:0:0:0:0:ffff:${address}`]) {
          expect(list.refuseLiteral(spelling, port)).toBeUndefined();
          expect(list.mayDial(spelling, port)).toBe(true);
          expect(list.refuseLiteral(spelling, port + 1)).toBe('not-allowed');
        }
        expect(list.refuseLiteral(`64:ff9b::${address}`, port)).toBe('not-allowed');
      }),
    );
  });

  test('a list allows no other address, however public', () => {
    expect(policy('a.example:80').refuseLiteral('192.0.2.8', 80)).toBe('not-allowed');
    expect(policy('a.example:80').mayDial('192.0.2.8', 80)).toBe(true);
    expect(policy('internet').refuseLiteral('192.0.2.8', 80)).toBeUndefined();
    expect(policy('none').refuseLiteral('192.0.2.8', 80)).toBe('not-public');
  });

  test('a text that is no address is refused', () => {
    for (const text of ['', 'a.example', '127.1', '2130706433', '0x7f.1', '192.0.2.8%eth0', 'fe80::1%lo'])
      expect(policy('internet').mayDial(text, 80)).toBe(false);
  });
});
