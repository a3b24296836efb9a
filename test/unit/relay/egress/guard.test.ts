// The guard of egress: hundreds of spellings of addresses and names that no connection may reach.

import {isIPv4, isIPv6} from 'node:net';
import {describe, expect, test} from 'vitest';
import {hostName, plainAddress} from '../../../../src/lib/net/host-name.js';
import {Guard, type GuardOptions, type GuardRules} from '../../../../src/lib/relay/egress/guard.js';

const OWN = '198.51.100.9';
const DOORS = [443, 9_000];

function guard(rules: Partial<GuardRules> = {}, more: Partial<GuardOptions> = {}) {
  return new Guard({
    rules: {allowPrivate: [], mail: false, ...rules},
    domain: 'r1.example.net',
    isDoor: (port) => DOORS.includes(port),
    now: () => 0,
    ownAddresses: () => [OWN, '2001:db8:9::9', '127.0.0.1', '::1'],
    log: {warn: () => {}},
    ...more,
    publicAddresses: {now: new Set(['203.0.113.99'])},
  });
}

/** As a connection does it: a literal, or a name that is looked up. Undefined: it would be dialled. */
function refusal(
  host: string,
  {port = 5432, by = guard(), found = ['203.0.113.80']} = {},
): string | undefined {
  const literal = plainAddress(host);
  const name = literal === undefined ? hostName(host) : undefined;
  if (literal === undefined && name === undefined) return 'no host';
  return (
    by.refuseHost(name, port) ??
    (literal === undefined ? found : [literal])
      .map((address) => by.refuseAddress(address, port))
      .find((each) => each !== undefined)
  );
}

/** One address of each kind that is forbidden. */
const FORBIDDEN_V4 = [
  ['loopback', '127.0.0.1'],
  ['loopback', '127.255.255.254'],
  ['this host', '0.0.0.0'],
  ['this network', '0.1.2.3'],
  ['private', '10.0.0.1'],
  ['private', '10.255.255.255'],
  ['private', '172.16.0.1'],
  ['private', '172.31.255.254'],
  ['private', '192.168.0.1'],
  ['private', '192.168.255.255'],
  ['link-local', '169.254.0.1'],
  ['metadata', '169.254.169.254'],
  ['metadata of containers', '169.254.170.2'],
  ['metadata, of a public range', '168.63.129.16'],
  ['metadata, of a shared range', '100.100.100.200'],
  ['metadata, of a special range', '192.0.0.192'],
  ['shared by providers', '100.64.0.1'],
  ['shared by providers', '100.127.255.255'],
  ['assignments', '192.0.0.8'],
  ['benchmarks', '198.18.0.1'],
  ['benchmarks', '198.19.255.255'],
  ['multicast', '224.0.0.1'],
  ['multicast', '239.255.255.250'],
  ['reserved', '240.0.0.1'],
  ['broadcast', '255.255.255.255'],
  ['of this machine', OWN],
] as const;

const FORBIDDEN_V6 = [
  '::',
  '::1',
  'fe80::1',
  'febf::1',
  'fec0::1',
  'fc00::1',
  'fd00::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  'fdaa:5137:3ebf::1',
  'ff02::1',
  'ff0e::1',
  '100::1',
  '2001::1',
  '2001:0:5ef5:79fd::1',
  '2001:10::1',
  '2002:7f00:1::',
  '2002:a00:1::1',
  '64:ff9b:1::7f00:1',
  '4000::1',
  '2001:db8:9::9',
  '0:0:0:0:0:0:0:1',
  '0000:0000:0000:0000:0000:0000:0000:0001',
  'FE80::1',
  'FD00:EC2::254',
] as const;

const bytesOf = (address: string) => address.split('.').map(Number) as [number, number, number, number];
const hex = (value: number, digits = 1) => value.toString(16).padStart(digits, '0');

/** Spellings of an IPv4 address that some program reads as this address. */
function spellings(address: string): string[] {
  const [a, b, c, d] = bytesOf(address);
  const whole = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const group = (x: number, y: number) => hex((x << 8) | y);
  const inner = `${group(a, b)}:${group(c, d)}`;
  return [
    address,
    `${address}.`,
    // inet_aton: parts, octal, hexadecimal, one number.
    `${a}.${b}.${(c << 8) | d}`,
    `${a}.${(b << 16) | (c << 8) | d}`,
    `${whole}`,
    `0x${hex(whole, 8)}`,
    `0X${hex(whole, 8)}`,
    `0${whole.toString(8)}`,
    [a, b, c, d].map((each) => `0x${hex(each)}`).join('.'),
    [a, b, c, d].map((each) => `0${each.toString(8)}`).join('.'),
    [a, b, c, d].map((each) => String(each).padStart(4, '0')).join('.'),
    `0x${hex(a)}.${b}.0${c.toString(8)}.${d}`,
    // Inside IPv6: mapped, compatible, NAT64, 6to4, translated.
    `::ffff:${address}`,
    `::FFFF:${address}`,
    `::ffff:${inner}`,
    `0:0:0:0:0:ffff:${inner}`,
    `0000:0000:0000:0000:0000:ffff:${address}`,
    `::${address}`,
    `::ffff:0:${address}`,
    `64:ff9b::${address}`,
    `64:ff9b::${inner}`,
    `64:ff9b:0:0:0:0:${inner}`,
    `2002:${inner}::`,
    `2002:${inner}::1`,
    `[${address}]`,
    `[::ffff:${address}]`,
    `::ffff:${address}%1`,
    ` ${address}`,
    `${address} `,
    `${address}\u0000`,
    `${address}#x`,
    `${address}/32`,
    `${address}:80`,
    `user@${address}`,
    `http://${address}/`,
    `%31${address.slice(1)}`,
    address.replaceAll('.', '。'),
    address.replaceAll('.', '．'),
    address.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
    address.replace(/\d/g, (digit) =>
      String.fromCodePoint(0x24ea + (digit === '0' ? 0 : 0x2460 - 0x24ea - 1 + Number(digit))),
    ),
  ];
}

describe('forbidden addresses', () => {
  const all = FORBIDDEN_V4.flatMap(([kind, address]) =>
    spellings(address).map((spelling) => [kind, address, spelling] as const),
  );

  test('there are more than 500 spellings', () => {
    expect(new Set([...all.map(([, , spelling]) => spelling), ...FORBIDDEN_V6]).size).toBeGreaterThan(500);
  });

  test.each(FORBIDDEN_V4)('%s %s is refused in every spelling', (_kind, address) => {
    const passed = spellings(address).filter((spelling) => refusal(spelling) === undefined);
    expect(passed).toEqual([]);
  });

  test.each(FORBIDDEN_V6)('%s is refused', (address) => {
    expect(isIPv6(address)).toBe(true);
    expect(refusal(address)).toBeDefined();
    expect(refusal(`[${address}]`)).toBeDefined();
    expect(refusal(`${address}%lo`)).toBeDefined();
    expect(refusal(`${address}%25lo`)).toBeDefined();
  });

  test('an answer of the DNS is judged in the same way', () => {
    const answers = [...FORBIDDEN_V4.map(([, address]) => address), ...FORBIDDEN_V6];
    const mapped = FORBIDDEN_V4.flatMap(([, address]) => [`::ffff:${address}`, `64:ff9b::${address}`]);
    for (const found of [...answers, ...mapped])
      expect(refusal('innocent.example', {found: [found]}), found).toBeDefined();
  });
});

test('public addresses and names pass', () => {
  for (const host of [
    '203.0.113.7',
    '8.8.8.8',
    '1.1.1.1',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '169.253.0.1',
    '192.0.1.1',
    '198.17.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2606:4700:4700::1111',
    '2a00:1450:4001:830::200e',
    'db.corp',
    'xr1.example.net',
    'example.net',
    'r1.example.net.evil.org',
    '127.0.0.1.example.com',
    'a_b.example.com',
  ])
    expect(refusal(host), host).toBeUndefined();
});

describe('the relay itself', () => {
  test('its name and the names of its tunnels are loops, in every spelling', () => {
    for (const host of [
      'r1.example.net',
      'R1.Example.NET',
      'r1.example.net.',
      'demo.r1.example.net',
      'a.b.r1.example.net',
      'demo.r1.example.net.',
      'demo。r1.example.net',
    ])
      expect(refusal(host), host).toMatch(/loop|no host/);
  });

  test('its addresses are refused; its doors also when the range is allowed', () => {
    const by = guard({allowPrivate: ['127.0.0.0/8', OWN, '::1']});
    expect(refusal(OWN)).toMatch(/machine of the relay/);
    expect(refusal(OWN, {by})).toBeUndefined();
    for (const port of DOORS)
      for (const host of [OWN, '127.0.0.1', '127.9.9.9', '::1', `::ffff:${OWN}`, `64:ff9b::${OWN}`])
        expect(refusal(host, {by, port}), `${host} ${port}`).toMatch(/loop/);
  });

  test('the unspecified address is this machine, also when all ranges are allowed', () => {
    const by = guard({allowPrivate: ['0.0.0.0/0', '::/0']});
    for (const host of ['0.0.0.0', '::', '::ffff:0.0.0.0', '64:ff9b::']) {
      expect(by.isHere(host), host).toBe(true);
      for (const port of DOORS) expect(refusal(host, {by, port}), `${host} ${port}`).toMatch(/loop/);
    }
  });

  test('so is the public address in front of it', () => {
    expect(refusal('203.0.113.99')).toMatch(/machine of the relay/);
    expect(refusal('203.0.113.99', {by: guard({allowPrivate: ['203.0.113.0/24']}), port: 443})).toMatch(
      /loop/,
    );
    expect(refusal('203.0.113.98')).toBeUndefined();
  });
});

describe('the operator', () => {
  test('opens private ranges, and nothing else with them', () => {
    const by = guard({allowPrivate: ['10.1.0.0/16', 'fd12::/16']});
    expect(refusal('10.1.2.3', {by})).toBeUndefined();
    expect(refusal('::ffff:10.1.2.3', {by})).toBeUndefined();
    expect(refusal('db.corp', {by, found: ['10.1.2.3']})).toBeUndefined();
    expect(refusal('fd12::1', {by})).toBeUndefined();
    for (const host of ['10.2.0.1', '127.0.0.1', '169.254.169.254', 'fd13::1', '192.168.0.1'])
      expect(refusal(host, {by}), host).toBeDefined();
  });

  test('never opens a metadata service', () => {
    const by = guard({allowPrivate: ['0.0.0.0/0', '::/0']});
    expect(refusal('10.0.0.1', {by})).toBeUndefined();
    for (const host of ['169.254.169.254', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe', 'fd00:ec2::254'])
      expect(refusal(host, {by}), host).toMatch(/metadata/);
  });

  test('opens port 25', () => {
    expect(refusal('203.0.113.7', {port: 25})).toMatch(/mail/);
    expect(refusal('mx.example.com', {port: 25})).toMatch(/mail/);
    expect(refusal('203.0.113.7', {port: 25, by: guard({mail: true})})).toBeUndefined();
  });
});

test('while the addresses of the machine cannot be read, the last ones hold', () => {
  let now = 0;
  let reads = 0;
  const ownAddresses = () => {
    reads += 1;
    if (reads > 1) throw new Error('uv_interface_addresses returned EMFILE');
    return [OWN];
  };
  const by = guard({}, {ownAddresses, now: () => now});
  expect(refusal(OWN, {by})).toMatch(/machine of the relay/);
  now = 1_000;
  expect(refusal(OWN, {by})).toMatch(/machine of the relay/);
  expect(refusal('203.0.113.80', {by})).toBeUndefined();
  expect(reads).toBe(2);
});

test('the addresses of the tests are what they seem', () => {
  for (const [, address] of FORBIDDEN_V4) expect(isIPv4(address)).toBe(true);
});
