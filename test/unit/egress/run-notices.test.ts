// What a command behind an egress is told about, and how often.
import {createServer} from 'node:net';
import {expect} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import {type Notice, RunNotices} from '../../../src/lib/egress/run-notices.js';
import {test} from '../../helpers/test.js';

function gathered(localPorts: number[] = []) {
  const told: Notice[] = [];
  return {told, notices: new RunNotices((notice) => told.push(notice), localPorts)};
}

const forbidden = new TunlError('EGRESS_FORBIDDEN', {reason: 'db.corp is private.'});

test('a destination that fails is told once, and another one as well', () => {
  const {told, notices} = gathered();
  for (let turn = 0; turn < 5; turn += 1) notices.failed('db.corp', 5432, forbidden);
  notices.failed('other.corp', 5432, new TunlError('EGRESS_UNREACHABLE'));
  expect(told.map(({code}) => code)).toEqual(['EGRESS_FORBIDDEN', 'EGRESS_UNREACHABLE']);
});

test('a program that fails everywhere does not fill the screen', () => {
  const {told, notices} = gathered();
  for (let port = 1; port <= 10_000; port += 1) notices.failed('db.corp', port, forbidden);
  expect(told).toHaveLength(20);
});

test('UDP is told once', async () => {
  const {told, notices} = gathered();
  await notices.missed({kind: 'udp', port: 443});
  await notices.missed({kind: 'udp', port: 123});
  expect(told).toMatchObject([{code: 'EGRESS_UDP', message: expect.stringContaining('port 443')}]);
});

test('the reason why UDP is refused is told with it, and where UDP leaves nothing is told', async () => {
  const refused = gathered();
  refused.notices.setUdp({why: 'There is no /dev/net/tun.', mend: 'sudo modprobe tun'});
  await refused.notices.missed({kind: 'udp', port: 443});
  expect(refused.told[0]?.message).toMatch(/There is no \/dev\/net\/tun\. To mend it: sudo modprobe tun$/);
  const carried = gathered();
  carried.notices.setUdp('carried');
  await carried.notices.missed({kind: 'udp', port: 5353});
  expect(carried.told).toEqual([]);
});

test('a missing service of loopback is told only where the machine has it', async ({scope}) => {
  const server = createServer();
  const port = await scope.listen(server);
  const {told, notices} = gathered();
  await notices.missed({kind: 'local', port});
  await notices.missed({kind: 'local', port: 1});
  expect(told).toMatchObject([{code: 'EGRESS_LOCAL', message: expect.stringContaining(`port ${port};`)}]);
  const named = gathered([port]);
  await named.notices.missed({kind: 'local', port});
  expect(named.told).toEqual([]);
});

test('a local port that does not answer is not blamed on the relay', () => {
  const {told, notices} = gathered([6379]);
  notices.failed('localhost', 6379, Object.assign(new Error('refused'), {code: 'ECONNREFUSED'}));
  expect(told).toMatchObject([{code: 'EGRESS_LOCAL'}]);
});
