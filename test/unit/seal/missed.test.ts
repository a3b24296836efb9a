// What a program in a sealed network has missed, as the kernel and the holder report it.
import {once} from 'node:events';
import {connect} from 'node:net';
import {expect, test} from 'vitest';
import {countMissed, MissedWatch, readMissed} from '../../../src/lib/seal/missed.js';
import {unusedPort} from '../../helpers/scope.js';

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

test('the last look ends when all is told, also by a look that is under way', async () => {
  const told: string[] = [];
  const answer = Promise.withResolvers<string>();
  const watch = new MissedWatch({
    pid: process.pid,
    ask: () => answer.promise,
    onMissed: async ({kind, port}) => void told.push(`${kind} ${port}`),
  });
  await once(connect(await unusedPort(), '127.0.0.1'), 'error');
  void watch.look();
  watch.end();
  const last = watch.look();
  answer.resolve('udp=443 local=');
  await last;
  expect(told).toEqual(['udp 443']);
});
