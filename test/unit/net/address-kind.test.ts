// The kind of an address, public or not, in all spellings.
import {expect, test} from 'vitest';
import {addressKind} from '../../../src/lib/net/address-kind.js';

test.each([
  ['public', ['8.8.8.8', '172.15.0.1', '172.32.0.1', '100.63.0.1', '100.128.0.1', '169.253.0.1', '11.0.0.1']],
  ['public', ['2606:4700::1111', '2a00:1450:4001::1', '3fff::1']],
  ['loopback', ['127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1']],
  ['link-local', ['169.254.169.254', 'fe80::1', 'fe80::1%eth0', 'febf::1']],
  [
    'private',
    ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', 'fc00::1', 'fd12::1'],
  ],
  [
    'other',
    ['0.0.0.0', '0.1.2.3', '192.0.0.8', '198.18.0.1', '224.0.0.1', '255.255.255.255', '::', 'ff02::1'],
  ],
  // With an IPv4 address inside: IPv4-mapped in both spellings, and NAT64.
  ['loopback', ['::ffff:127.0.0.1', '::ffff:7f00:1', '64:ff9b::127.0.0.1', '64:ff9b::7f00:1']],
  ['link-local', ['::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe']],
  ['private', ['::ffff:10.0.0.1', '::ffff:c0a8:101', '64:ff9b::192.168.1.1', '64:FF9B::A00:1']],
  ['public', ['::ffff:8.8.8.8', '64:ff9b::8.8.8.8', '64:ff9b::101:1']],
  ['other', ['64:ff9b::', '::ffff:0:0', '::ffff:0.0.0.0']],
  // IPv4-compatible, 6to4, Teredo, local NAT64, site-local, discard-only.
  ['other', ['::127.0.0.1', '::7f00:1', '::8.8.8.8', '2002:7f00:1::', '2002:a00:1::1', '2002:808:808::1']],
  ['other', ['2001::1', '2001:0:7f00:1::1', '64:ff9b:1::7f00:1', 'fec0::1', '100::1', '::ffff:0:127.0.0.1']],
  ['other', ['', 'localhost', '127.1', '2130706433', '0x7f.0.0.1', '[::1]', 'example.net']],
])('%s: %j', (kind, addresses) => {
  expect(addresses.map((address) => [address, addressKind(address)])).toEqual(
    addresses.map((address) => [address, kind]),
  );
});
