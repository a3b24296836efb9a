// What a program in a sealed network has missed, as the kernel and the holder report it.
import {expect, test} from 'vitest';
import {countMissed, readMissed} from '../../../src/lib/seal/missed.js';

const SNMP = `Ip: Forwarding DefaultTTL
Ip: 2 64
Icmp: InMsgs OutDestUnreachs OutEchos
Icmp: 9 3 1
Tcp: RtoAlgorithm MaxConn ActiveOpens AttemptFails EstabResets
Tcp: 1 -1 8 5 2
`;

test.each([
  [SNMP, '', 8],
  [SNMP, 'Icmp6OutErrors\t4\nIcmp6OutDestUnreachs            \t2\n', 10],
  ['', '', 0],
  ['Tcp: AttemptFails\n', 'no table', 0],
])('attempts that failed, and refusals', (snmp, snmp6, count) => {
  expect(countMissed(snmp, snmp6)).toBe(count);
});

test.each([
  ['udp=443,53 local=6379', {udp: [443, 53], local: [6379]}],
  ['udp= local=', {udp: [], local: []}],
  ['', {udp: [], local: []}],
])('%j', (text, missed) => {
  expect(readMissed(text)).toEqual(missed);
});
