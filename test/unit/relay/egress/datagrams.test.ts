// UDP by egress: from which address it leaves, where it may go, what comes back, and how flows end.

import {createSocket, Socket} from 'node:dgram';
import {once} from 'node:events';
import {expect, vi} from 'vitest';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {rightsOf} from '../../../../src/lib/relay/access/rights.js';
import {openDatagramSocket} from '../../../../src/lib/relay/egress/datagram-socket.js';
import {LocalPorts} from '../../../../src/lib/relay/egress/local-ports.js';
import {Bandwidths} from '../../../../src/lib/relay/limits/bandwidth.js';
import {EgressRig, SOURCES, type TestFlow} from '../../../helpers/egress.js';
import {startUdpEcho} from '../../../helpers/egress-places.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const [ONE = '', TWO = ''] = SOURCES;

async function ask(flow: TestFlow, text = 'x') {
  flow.send(text);
  const [address, port, said] = String(await flow.next()).split(' ');
  return {address, port: Number(port), said};
}

/** A UDP port of loopback that nobody has. */
async function closedPort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const {port} = socket.address();
  await new Promise<void>((resolve) => void socket.close(resolve));
  return port;
}

async function started(scope: Scope, ...[options]: [Parameters<typeof EgressRig.start>[1]?]) {
  const rig = await EgressRig.start(scope, options);
  return {rig, ...(await startUdpEcho(scope))};
}

test('a flow leaves from an address of the set: for a host the one that its connections have; datagrams before the answer arrive', async ({
  scope,
}) => {
  const {rig, port} = await started(scope, {names: {'ntp.corp': ['127.0.0.1']}});
  const seen = new Set<string>();
  for (let round = 0; round < 4; round += 1) {
    const flow = rig.flow({host: 'ntp.corp', port});
    const [first, second] = [ask(flow, 'one'), ask(flow, 'two')];
    expect((await first).said).toBe('one');
    const peer = await second;
    expect(peer.said).toBe('two');
    expect(SOURCES).toContain(peer.address);
    const [low, high] = rig.settings.egressPorts;
    expect(peer.port).toBeGreaterThanOrEqual(low);
    expect(peer.port).toBeLessThanOrEqual(high);
    seen.add(peer.address ?? '');
  }
  expect(seen.size).toBe(1);
  const spread = new Set<string>();
  for (let round = 0; round < 25; round += 1)
    spread.add((await ask(rig.flow({port, spread: true}))).address ?? '');
  expect([...spread].sort()).toEqual([...SOURCES]);
});

test('the longest datagram and an empty one pass in both directions', async ({scope}) => {
  const rig = await EgressRig.start(scope);
  const {port, socket} = await startUdpEcho(scope);
  const big = Buffer.alloc(65_507, 7);
  const flow = rig.flow({port});
  const arrived = once(socket, 'message');
  flow.send(big);
  const [got, from] = (await arrived) as [Buffer, {address: string; port: number}];
  expect(got.equals(big)).toBe(true);
  // The echo has cut its answer to the most that UDP carries.
  expect(await flow.next()).toHaveLength(65_507);
  socket.send('', from.port, from.address);
  expect(await flow.next()).toHaveLength(0);
});

test('few empty datagrams wait for the look-up', async ({scope}) => {
  const found = Promise.withResolvers<readonly string[]>();
  let turns = 0;
  const clock = {
    now: () => systemClock.now(),
    after: systemClock.after.bind(systemClock),
    soon: (fn: () => void) => {
      turns += 1;
      setImmediate(() => {
        fn();
        turns -= 1;
      });
    },
  };
  const {rig, port} = await started(scope, {clock, names: {'slow.corp': () => found.promise}});
  const send = vi.spyOn(Socket.prototype, 'send');
  scope.onEnd(() => send.mockRestore());
  const flow = rig.flow({host: 'slow.corp', port});
  // 100,000 of them: each is its length, two bytes.
  flow.datagrams.stream.write(Buffer.alloc(200_000));
  await expect.poll(() => rig.egress.totals.bytesOut === 200_000 && turns === 0).toBe(true);
  found.resolve(['127.0.0.1']);
  await flow.opened;
  flow.send('later');
  let said: string | undefined;
  while (said !== 'later') said = String(await flow.next()).split(' ')[2];
  const empty = send.mock.calls.filter(([datagram]) => (datagram as Buffer).length === 0);
  expect(empty.length).toBeGreaterThan(0);
  expect(empty.length).toBeLessThan(1_000);
});

test('empty datagrams that the system does not take are lost', async ({scope}) => {
  const {port} = await startUdpEcho(scope);
  const ports = new LocalPorts({first: 40_000, last: 60_000, now: () => 0});
  const socket = await openDatagramSocket({
    ...{address: '127.0.0.1', port, ports, sourceFor: () => ONE},
    ...{onSourceLost: () => {}, onDatagram: () => {}, onBroken: () => {}},
  });
  scope.onEnd(() => socket.close());
  const send = vi.spyOn(Socket.prototype, 'send');
  const count = vi.spyOn(Socket.prototype, 'getSendQueueCount').mockReturnValue(600);
  scope.onEnd(() => void vi.restoreAllMocks());
  socket.send(Buffer.alloc(0));
  expect(send).toHaveBeenCalledTimes(1);
  count.mockReturnValue(1_000);
  socket.send(Buffer.alloc(0));
  expect(send).toHaveBeenCalledTimes(1);
});

test('only the destination can answer', async ({scope}) => {
  const {rig, port} = await started(scope);
  const flow = rig.flow({port});
  const {address, port: own} = await ask(flow);
  const stranger = createSocket('udp4');
  scope.onEnd(() => new Promise((resolve) => void stranger.close(resolve)));
  await new Promise<void>((resolve) => stranger.bind(0, '127.0.0.1', resolve));
  await new Promise((resolve) => stranger.send('from a stranger', own, address, resolve));
  expect((await ask(flow, 'more')).said).toBe('more');
});

test('nobody listens: the flow ends with a refusal, by ICMP', async ({scope}) => {
  const rig = await EgressRig.start(scope);
  const flow = rig.flow({port: await closedPort()});
  flow.send('x');
  expect(await flow.over).toBe('UPSTREAM_REFUSED');
  expect(rig.of('egress-closed')).toMatchObject([{udp: true, code: 'UPSTREAM_REFUSED', bytesOut: 3}]);
});

test('the rules are those of connections', async ({scope}) => {
  const names = {
    'meta.corp': ['169.254.169.254'],
    'both.corp': ['::1', '127.0.0.1'],
    'four.corp': ['127.0.0.1'],
  };
  const settings = {
    egress: [`my-proxy=${ONE},::1`],
    egressAllowPrivate: ['127.0.0.0/8', '::1', '169.254.0.0/16'],
  };
  const {rig, port} = await started(scope, {names, settings});
  const outcome = async (host: string, more: {port?: number; egress?: string; family?: 4 | 6} = {}) => {
    const flow = rig.flow({host, port, ...more});
    return await Promise.race([flow.over, flow.opened.then(() => 'opened')]);
  };
  for (const host of ['169.254.169.254', 'meta.corp', '10.0.0.1', 'demo.r1.example', '127.1', '224.0.0.1'])
    expect([host, await outcome(host)]).toEqual([host, 'EGRESS_FORBIDDEN']);
  expect(await outcome('nowhere.corp')).toBe('NAME_UNKNOWN');
  expect(await outcome('four.corp', {egress: 'other'})).toBe('EGRESS_UNKNOWN');
  expect(await outcome('four.corp', {family: 6})).toBe('UNREACHABLE');
  expect(await outcome('127.0.0.1', {port: 25})).toBe('EGRESS_FORBIDDEN');
  expect((await ask(rig.flow({host: 'both.corp', port, family: 4}))).address).toBe(ONE);
  const six = await startUdpEcho(scope, '::1');
  expect((await ask(rig.flow({host: 'both.corp', port: six.port, family: 6}))).address).toBe('::1');
  rig.principal = {...rig.principal, rights: rightsOf(['egress:my-proxy'], [`four.corp:${port}`])};
  expect(await outcome('127.0.0.1')).toBe('EGRESS_FORBIDDEN');
  expect(await outcome('four.corp')).toBe('opened');
  rig.principal = {...rig.principal, rights: rightsOf(['egress:other'])};
  expect(await outcome('four.corp')).toBe('NOT_ALLOWED');
});

test('rights and settings that change end flows at once', async ({scope}) => {
  const {rig, port} = await started(scope, {settings: {egress: [`my-proxy=${ONE}`, `two=${TWO}`]}});
  const [one, two] = [rig.flow({port}), rig.flow({port, egress: 'two'})];
  await Promise.all([ask(one), ask(two)]);
  const {owner} = rig.principal;
  expect(rig.egress.status).toMatchObject([
    {egress: 'my-proxy', connections: 1, owners: [{owner, connections: 1}]},
    {egress: 'two', connections: 1},
  ]);
  rig.egress.reload({...rig.settings, egress: [`my-proxy=${ONE}`]});
  expect(await two.over).toBe('EGRESS_UNKNOWN');
  rig.egress.reload({...rig.settings, egressAllowPrivate: []});
  expect(await one.over).toBe('EGRESS_FORBIDDEN');
  rig.egress.reload(rig.settings);
  const three = rig.flow({port});
  await ask(three);
  Object.assign(rig.principal, {rights: rightsOf(['egress:my-proxy'], ['db.corp:1'])});
  rig.streams.recheck();
  expect(await three.over).toBe('EGRESS_FORBIDDEN');
  expect(rig.egress.open).toBe(0);
});

test('a flow in which nothing moves for 60 s ends in order; one that moves stays', async ({scope}) => {
  const clock = new ManualClock();
  const {rig, port} = await started(scope, {clock});
  const [quiet, busy] = [rig.flow({port}), rig.flow({port})];
  await Promise.all([ask(quiet), ask(busy)]);
  clock.advance(40_000);
  await ask(busy);
  clock.advance(25_000);
  expect(await quiet.over).toBeUndefined();
  expect((await ask(busy, 'still')).said).toBe('still');
  expect(rig.egress.open).toBe(1);
  const over = rig.next('egress-closed');
  busy.datagrams.end();
  expect(await over).toMatchObject({udp: true, host: '127.0.0.1', address: '127.0.0.1', code: undefined});
  expect(rig.egress.totals).toMatchObject({connections: 2});
  expect(rig.egress.open).toBe(0);
});

test('limits of the owner and of the session', async ({scope}) => {
  const {rig, port} = await started(scope, {settings: {maxEgressPerOwner: 2}});
  const flows = [rig.flow({port}), rig.flow({port})];
  await Promise.all(flows.map((each) => ask(each)));
  const third = rig.flow({port});
  expect([await third.over, third.message]).toEqual([
    'TOO_MANY_STREAMS',
    'The owner may have 2 connections by egress at once.',
  ]);
  expect(rig.limits).toContain('egress owner ana');
  const gone = rig.next('egress-closed');
  flows[0]?.datagrams.end();
  await gone;
  await ask(rig.flow({port}));
  // Refused ones count for the session as well: 1,024 in a row, and 100 a second after that.
  rig.session = 'session-b';
  const many = Array.from({length: 1_400}, () => rig.flow({port, egress: 'other'}));
  const codes = await Promise.all(many.map(({over}) => over));
  expect(codes.filter((code) => code === 'EGRESS_UNKNOWN')).not.toHaveLength(1_400);
  expect(new Set(codes)).toEqual(new Set(['EGRESS_UNKNOWN', 'TOO_MANY_STREAMS']));
});

test('beyond the bandwidth datagrams are lost, and the flow goes on', async ({scope}) => {
  const clock = new ManualClock();
  const bandwidths = new Bandwidths({clock, settings: {bytesPerSecondPerOwner: 20_000} as never});
  const {rig, port, socket} = await started(scope, {bandwidths});
  let got = 0;
  socket.on('message', () => {
    got += 1;
  });
  const flow = rig.flow({port});
  await ask(flow);
  for (let at = 0; at < 100; at += 1) flow.send(Buffer.alloc(1_000));
  await expect.poll(() => rig.egress.totals.bytesOut).toBeGreaterThan(100_000);
  clock.advance(60_000);
  await ask(flow, 'later');
  expect(got).toBeLessThan(10);
});

test('no UDP where the operator wants none', async ({scope}) => {
  const {rig, port} = await started(scope);
  const flow = rig.flow({port});
  await ask(flow);
  rig.egress.reload({...rig.settings, egressUdp: false});
  expect(await flow.over).toBe('EGRESS_UNKNOWN');
  const other = rig.flow({port});
  expect([await other.over, other.message]).toEqual(['EGRESS_FORBIDDEN', 'This relay carries no UDP.']);
});

test('an address that is gone is never replaced by the system’s choice; a port in use is', async ({
  scope,
}) => {
  const {port} = await startUdpEcho(scope);
  const lost: string[] = [];
  const common = {
    ...{address: '127.0.0.1', port, onDatagram: () => {}, onBroken: () => {}},
    onSourceLost: (source: string, code: string) => void lost.push(`${source} ${code}`),
  };
  const ports = new LocalPorts({first: 40_000, last: 60_000, now: () => 0});
  await expect(openDatagramSocket({...common, ports, sourceFor: () => '203.0.113.1'})).rejects.toMatchObject({
    code: 'NO_SOURCE',
  });
  expect(lost).toEqual(['203.0.113.1 EADDRNOTAVAIL']);
  const taken = createSocket('udp4');
  await new Promise<void>((resolve) => taken.bind(0, ONE, resolve));
  const {port: used} = taken.address();
  const begin = [0, 0.9];
  const two = new LocalPorts({first: used, last: used + 1, now: () => 0, random: () => begin.shift() ?? 0});
  const socket = await openDatagramSocket({...common, ports: two, sourceFor: () => ONE});
  await expect(openDatagramSocket({...common, ports: two, sourceFor: () => ONE})).rejects.toMatchObject({
    code: 'NO_PORT',
  });
  socket.close();
  await new Promise<void>((resolve) => void taken.close(resolve));
});
