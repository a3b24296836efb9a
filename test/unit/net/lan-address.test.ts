// The address in the local network, chosen among those of all kinds of machines.

import type {NetworkInterfaceInfo} from 'node:os';
import {expect, test} from 'vitest';
import {chooseLanAddress} from '../../../src/lib/net/lan-address.js';

type Machine = Readonly<Record<string, readonly string[]>>;

function choose(wanted: string | true, machine: Machine, outgoing?: string) {
  const interfaces = Object.fromEntries(
    Object.entries(machine).map(([name, addresses]) => [
      name,
      addresses.map((address) => ({address, internal: name === 'lo'}) as NetworkInterfaceInfo),
    ]),
  );
  return chooseLanAddress(wanted, {interfaces, outgoing, host: 'Desk.example.net'});
}

const lo = ['127.0.0.1', '::1'];

test.each<[string, Machine, string | undefined, string]>([
  ['the only private one', {lo, wlan0: ['192.168.1.20', 'fe80::1']}, undefined, '192.168.1.20'],
  ['that of the default route', {lo, eth0: ['192.168.1.20'], wlan0: ['10.1.2.3']}, '10.1.2.3', '10.1.2.3'],
  ['the range of homes', {lo, eth0: ['10.1.2.3'], wlan0: ['192.168.1.20']}, undefined, '192.168.1.20'],
  ['no bridge', {lo, docker0: ['172.17.0.1'], wlan0: ['10.1.2.3']}, undefined, '10.1.2.3'],
  [
    'no VPN with the default route',
    {lo, tun0: ['10.8.0.2'], wlan0: ['172.20.1.2']},
    '10.8.0.2',
    '172.20.1.2',
  ],
  ['a bridge, if there is nothing else', {lo, docker0: ['172.17.0.1']}, undefined, '172.17.0.1'],
  ['no public one', {lo, eth0: ['198.51.100.7', '192.168.1.20']}, '198.51.100.7', '192.168.1.20'],
  ['IPv6, if there is nothing else', {lo, eth0: ['2001:db8::1', 'fd00::2']}, undefined, 'fd00::2'],
])('%s', (_what, machine, outgoing, address) => {
  expect(choose(true, machine, outgoing).address).toBe(address);
});

test('the others are named, with the interface of each', () => {
  expect(choose(true, {lo, wlan0: ['192.168.1.20'], eth1: ['10.1.2.3']})).toEqual({
    address: '192.168.1.20',
    interface: 'wlan0',
    others: ['10.1.2.3 (eth1)'],
    name: 'desk.local',
  });
});

test('an address or an interface that the user names, also a public one', () => {
  const machine = {lo, wlan0: ['192.168.1.20'], eth1: ['198.51.100.7']};
  expect(choose('198.51.100.7', machine)).toMatchObject({interface: 'eth1', others: []});
  expect(choose('wlan0', machine).address).toBe('192.168.1.20');
});

test.each<[string | true, Machine, string]>([
  [true, {lo}, 'in no network'],
  [true, {lo, eth0: ['fe80::1']}, 'in no network'],
  [true, {lo, eth0: ['198.51.100.7']}, 'no private address'],
  [true, {lo, tailscale0: ['100.100.1.2']}, 'no private address'],
  ['10.9.9.9', {lo, eth0: ['192.168.1.20']}, 'no address or network interface "10.9.9.9"'],
  ['127.0.0.1', {lo, eth0: ['192.168.1.20']}, 'no address or network interface "127.0.0.1"'],
])('%s of %j is an error', (wanted, machine, reason) => {
  expect(() => choose(wanted, machine)).toThrow(
    expect.objectContaining({code: 'LAN_ADDRESS_MISSING', message: expect.stringContaining(reason)}),
  );
});

test('the error names the addresses that the machine has', () => {
  expect(() => choose(true, {lo, eth0: ['198.51.100.7']})).toThrow(
    expect.objectContaining({next: expect.stringContaining('198.51.100.7 (eth0)')}),
  );
});
