// What an accepted socket says about the destination that a program dialled.
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {addressText} from '../../../src/lib/net/address-bytes.js';
import {doorOf, originalDestination, ruleset} from '../../../src/lib/seal/doorway.js';
import {DOORS, FIRST_DOOR} from '../../../src/lib/seal/ports.js';

describe('the original destination', () => {
  test('of every port, with the addresses that the rules of nft give', () => {
    const text = ruleset();
    const map = (name: string) =>
      [...(new RegExp(`map ${name} .*elements = \\{(.*)\\} \\}`).exec(text)?.[1] ?? '').split(',')].map(
        (each) => each.trim().split(' : '),
      );
    const doors = map('doors').map(([range = '', door]) => ({
      range: range.split('-').map(Number),
      door: Number(door),
    }));
    const [low4, low6] = [map('low4'), map('low6')];
    expect(doors).toHaveLength(DOORS);
    fc.assert(
      fc.property(fc.integer({min: 1, max: 65_535}), fc.boolean(), (port, isSix) => {
        const door = doors.find(({range: [first = 0, last = 0]}) => first <= port && port <= last)?.door;
        expect(door).toBe(doorOf(port));
        const low = port % (65_536 / DOORS);
        const socket = {
          localAddress: isSix ? '2001:db8::5' : '::ffff:203.0.113.7',
          localPort: door,
          remoteAddress: isSix ? low6[low]?.[1] : `::ffff:${low4[low]?.[1]}`,
        };
        expect(originalDestination(socket)).toEqual({address: isSix ? '2001:db8::5' : '203.0.113.7', port});
      }),
    );
  });

  test.each([
    {localAddress: '127.0.0.1', localPort: FIRST_DOOR, remoteAddress: '127.0.0.1'},
    {localAddress: '::ffff:203.0.113.7', localPort: FIRST_DOOR, remoteAddress: '::ffff:203.0.113.7'},
    {localAddress: '203.0.113.7', localPort: FIRST_DOOR, remoteAddress: '100.65.0.1'},
    {localAddress: '203.0.113.7', localPort: FIRST_DOOR, remoteAddress: '100.64.255.255'},
    {localAddress: '203.0.113.7', localPort: FIRST_DOOR + DOORS, remoteAddress: '100.64.0.1'},
    {localAddress: '203.0.113.7', localPort: FIRST_DOOR - 1, remoteAddress: '100.64.0.1'},
    {localAddress: '2001:db8::5', localPort: FIRST_DOOR, remoteAddress: 'fd74:756e::1:0:1'},
    {localAddress: undefined, localPort: undefined, remoteAddress: undefined},
    {localAddress: '203.0.113.7', localPort: FIRST_DOOR, remoteAddress: undefined},
  ])('is unknown for $localAddress $localPort $remoteAddress', (socket) => {
    expect(originalDestination(socket)).toBeUndefined();
  });

  test('any socket is read without an error', () => {
    const address = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.uint8Array({minLength: 16, maxLength: 16}).map((each) => addressText(Buffer.from(each))),
      fc.string(),
    );
    fc.assert(
      fc.property(address, fc.nat(70_000), address, (localAddress, localPort, remoteAddress) => {
        originalDestination({localAddress, localPort, remoteAddress});
      }),
    );
  });
});

test('as many connections may begin each second as half of the most', () => {
  expect(ruleset()).toContain('limit rate over 256/second burst 512 packets drop');
  expect(ruleset({maxConnections: 4_096})).toContain('limit rate over 2048/second burst 4096 packets drop');
});
