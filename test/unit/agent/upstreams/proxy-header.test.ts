// The bytes of PROXY headers, version 1 and 2.

import {expect, test} from 'vitest';
import {ProxyHeader} from '../../../../src/lib/agent/upstreams/proxy-header.js';

const SIGNATURE = '0d0a0d0a000d0a515549540a';

function headers(address: string, {host = 'demo.r1.example.net', port = 443, from = 50_000} = {}) {
  return ([1, 2] as const).map((version) => {
    const header = new ProxyHeader(version);
    header.bound('tls', {host, port});
    const bytes = header.of({via: 'tls', address, port: from});
    return version === 1 ? bytes.toString('latin1') : bytes.toString('hex');
  });
}

test.each([
  ['IPv4', '192.0.2.7', 'PROXY TCP4 192.0.2.7 0.0.0.0 50000 443\r\n', '2111000cc000020700000000c35001bb'],
  [
    'IPv6',
    '2001:DB8:0::7',
    'PROXY TCP6 2001:db8::7 :: 50000 443\r\n',
    `21210024${'20010db8000000000000000000000007'}${'00'.repeat(16)}c35001bb`,
  ],
  [
    'IPv4 inside IPv6',
    '::ffff:192.0.2.7',
    'PROXY TCP4 192.0.2.7 0.0.0.0 50000 443\r\n',
    '2111000cc000020700000000c35001bb',
  ],
  [
    'IPv4 inside IPv6 as hex',
    '::ffff:c000:207',
    'PROXY TCP4 192.0.2.7 0.0.0.0 50000 443\r\n',
    '2111000cc000020700000000c35001bb',
  ],
  [
    'IPv6 with a scope',
    'fe80::1%eth0',
    'PROXY TCP6 fe80::1 :: 50000 443\r\n',
    `21210024${'fe800000000000000000000000000001'}${'00'.repeat(16)}c35001bb`,
  ],
  ['no address', 'unix:\r\nGET', 'PROXY UNKNOWN\r\n', '21000000'],
])('%s', (_, address, first, second) => {
  expect(headers(address)).toEqual([first, `${SIGNATURE}${second}`]);
});

test('the longest line of version 1 has the length that its specification allows', () => {
  const address = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
  const [line = ''] = headers(address, {host: address, port: 65_535, from: 65_535});
  expect(line.length).toBeLessThanOrEqual(107);
  expect(line).toBe(`PROXY TCP6 ${address} ${address} 65535 65535\r\n`);
});

test('the public address is the destination where it has the family of the visitor', () => {
  const side = {host: '203.0.113.1', port: 20_000};
  expect(headers('192.0.2.7', side)).toEqual([
    'PROXY TCP4 192.0.2.7 203.0.113.1 50000 20000\r\n',
    `${SIGNATURE}2111000cc0000207cb007101c3504e20`,
  ]);
  expect(headers('2001:db8::7', side)[0]).toBe('PROXY TCP6 2001:db8::7 :: 50000 20000\r\n');
});

test('each side of a tunnel has its own port, and one that is not known yet has none', () => {
  const header = new ProxyHeader(1);
  header.bound('tls', {host: 'demo.r1.example.net', port: 443});
  const visitor = {address: '192.0.2.7', port: 1};
  expect(header.of({...visitor, via: 'tls'}).toString()).toMatch(/ 1 443\r\n$/);
  expect(header.of({...visitor, via: 'tcp'}).toString()).toMatch(/ 1 0\r\n$/);
});

test('a connection without a visitor says that it is none', () => {
  expect(new ProxyHeader(1).of(undefined).toString()).toBe('PROXY UNKNOWN\r\n');
  expect(new ProxyHeader(2).of(undefined).toString('hex')).toBe(`${SIGNATURE}20000000`);
});
