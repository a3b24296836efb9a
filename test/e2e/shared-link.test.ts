// Several tunnels in one process: those with the same settings share a link, others share nothing.

import {once} from 'node:events';
import type {Socket} from 'node:net';
import {expect} from 'vitest';
import {
  type ForwardOptions,
  forward,
  type Relay,
  type RelayOptions,
  startRelay,
  type Tunnel,
  type TunnelEvent,
} from '../../src/index.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';

const token = 'a-token-of-16-or-more';

interface Rig {
  relay: Relay;
  options: ForwardOptions & {stateDir: string};
}

async function rig(scope: Scope, more: RelayOptions = {}): Promise<Rig> {
  const stateDir = await scope.tempDir('state');
  const relay = scope.own(
    await startRelay({domain: 'r1.localhost', token, tcpPorts: [0, 0], stateDir, ...more}),
  );
  const {caFile = ''} = relay;
  return {relay, options: {relay: relay.url, token, caFile, stateDir, unencrypted: true}};
}

/** A tunnel with its own upstream, and all its events. */
async function open(scope: Scope, options: ForwardOptions, port?: number) {
  const events: TunnelEvent[] = [];
  const onEvent = (event: TunnelEvent) => void events.push(event);
  const tunnel = scope.own(await forward(port ?? (await echoUpstream(scope)), {...options, onEvent}));
  const types = () => events.map(({type}) => type).filter((type) => type !== 'connection');
  return {tunnel, events, types};
}

const visit = async (scope: Scope, tunnel: Tunnel): Promise<Socket> => {
  const visitor = await tcpVisitor(scope, tunnel.tcpSocket[1]);
  visitor.on('error', () => {});
  return visitor;
};

/** Writes a text and gets it back. */
async function echo(visitor: Socket, text: string): Promise<void> {
  visitor.write(text);
  let heard = '';
  while (heard !== text) heard += String((await once(visitor, 'data'))[0]);
}

const counts = (relay: Relay) => {
  const {agents, tunnels} = relay.stats();
  return {agents, tunnels};
};

test('tunnels with the same settings share one link; it ends with the last of them', async ({scope}) => {
  const {relay, options} = await rig(scope);
  const [one, two, three] = await Promise.all([1, 2, 3].map(() => open(scope, options)));
  if (one === undefined || two === undefined || three === undefined) throw new Error('three');
  expect(counts(relay)).toEqual({agents: 1, tunnels: 6});
  const visitor = await visit(scope, two.tunnel);
  await echo(visitor, 'before');
  const gone = await visit(scope, one.tunnel);
  await echo(gone, 'soon over');
  const reset = new Promise((resolve) => gone.once('close', resolve));
  await one.tunnel.close();
  await reset;
  await echo(visitor, 'the others go on');
  await expect.poll(() => counts(relay)).toEqual({agents: 1, tunnels: 4});
  // The same upstream gets its own names again, over the existing link.
  const {url, tcpSocket} = one.tunnel;
  const again = await open(scope, options, Number(one.tunnel.ready.upstream.split(':').at(-1)));
  expect([again.tunnel.url, again.tunnel.tcpSocket]).toEqual([url, tcpSocket]);
  expect(counts(relay)).toEqual({agents: 1, tunnels: 6});
  await echo(await visit(scope, again.tunnel), 'here again');
  await Promise.all([two, three, again].map(({tunnel}) => tunnel.close()));
  await expect.poll(() => counts(relay)).toEqual({agents: 0, tunnels: 0});
  expect([one, two, three, again].map(({types}) => types())).toEqual(
    Array.from({length: 4}, () => ['ready', 'closed']),
  );
});

test('a tunnel that is closed lets its visitors finish, while the others go on', async ({scope}) => {
  const {relay, options} = await rig(scope);
  const [one, two] = [await open(scope, options), await open(scope, options)];
  const [leaving, staying] = [await visit(scope, one.tunnel), await visit(scope, two.tunnel)];
  await echo(leaving, 'in');
  const closed = one.tunnel.close({drainTimeoutMs: 60_000});
  await expect.poll(() => counts(relay)).toEqual({agents: 1, tunnels: 2});
  await echo(leaving, 'still in');
  leaving.end();
  await once(leaving, 'end');
  await closed;
  await echo(staying, 'not concerned');
  expect(one.events.map(({type}) => type)).toEqual([
    'ready',
    'connection',
    'draining',
    'connection',
    'closed',
  ]);
});

test('other settings need another agent', async ({scope}) => {
  const {relay, options} = await rig(scope);
  const port = await echoUpstream(scope);
  const other = await scope.tempDir('state');
  const all = [
    await open(scope, options, port),
    await open(scope, {...options, stateDir: other}, port),
    await open(scope, {...options, maxRetryTimeMs: 60_000}, port),
  ];
  expect(counts(relay)).toEqual({agents: 3, tunnels: 6});
  await expect(open(scope, {...options, stateDir: other}, port)).rejects.toMatchObject({
    code: 'PORT_FORWARDED_TWICE',
  });
  await all[0]?.tunnel.close();
  for (const {tunnel} of all.slice(1)) await echo(await visit(scope, tunnel), 'not concerned');
});

test('three relays and four agents with different state folders share nothing', async ({scope}) => {
  const port = await echoUpstream(scope);
  const [first, second] = [await scope.tempDir('state'), await scope.tempDir('state')];
  const said: Record<string, string[]> = {first: [], second: []};
  const log = (name: string) => (record: {message: string}) => void said[name]?.push(record.message);
  const embedded = {relay: '', unencrypted: true};
  const one = await open(scope, {...embedded, stateDir: first, log: log('first')}, port);
  const two = await open(scope, {...embedded, stateDir: second, log: log('second')}, port);
  const {relay, options} = await rig(scope);
  const three = await open(scope, options, port);
  const four = await open(scope, {...options, stateDir: await scope.tempDir('state')}, port);
  expect(counts(relay)).toEqual({agents: 2, tunnels: 4});
  // Each state folder has a relay with its own authority.
  const [a, b] = [one.tunnel.ready.relay, two.tunnel.ready.relay];
  expect(a.url).not.toBe(b.url);
  expect([a.caFile, b.caFile]).toEqual([expect.stringContaining(first), expect.stringContaining(second)]);
  for (const name of ['first', 'second'])
    expect(said[name]?.filter((line) => line === 'agent connected')).toHaveLength(1);
  await one.tunnel.close();
  await echo(await visit(scope, two.tunnel), 'two goes on');
  await three.tunnel.close();
  await echo(await visit(scope, four.tunnel), 'four goes on');
  // Each agent numbers its own visitors.
  const ids = (events: TunnelEvent[]) =>
    events.flatMap((each) => (each.type === 'connection' ? [each.id] : []));
  expect([ids(two.events)[0], ids(four.events)[0]]).toEqual([1, 1]);
});

test('one of three tunnels that is taken over ends alone', async ({scope}) => {
  const {relay, options} = await rig(scope);
  const all = await Promise.all(
    ['one', 'two', 'three'].map((subdomain) => open(scope, {...options, subdomain})),
  );
  const [one, two, three] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0]];
  const visitors = await Promise.all(all.map(({tunnel}) => visit(scope, tunnel)));
  await Promise.all(visitors.map((visitor) => echo(visitor, 'in')));
  const reset = new Promise((resolve) => visitors[1]?.once('close', resolve));
  const stateDir = await scope.tempDir('state');
  const thief = await open(scope, {...options, stateDir, subdomain: 'two'});
  await expect(two.tunnel.closed).rejects.toMatchObject({code: 'TAKEN_OVER'});
  await reset;
  expect(two.events.at(-1)).toMatchObject({type: 'error', code: 'TAKEN_OVER'});
  for (const index of [0, 2]) await echo(visitors[index] as Socket, 'still in');
  for (const {tunnel} of [one, three, thief]) await echo(await visit(scope, tunnel), 'new ones too');
  expect(counts(relay)).toEqual({agents: 2, tunnels: 6});
  expect([one.types(), three.types()]).toEqual([['ready'], ['ready']]);
});

test('a tunnel that is refused does not affect the others', async ({scope}) => {
  const {relay, options} = await rig(scope, {token: ''});
  const theirs = await open(scope, {...options, stateDir: await scope.tempDir('state'), subdomain: 'theirs'});
  const mine = await open(scope, options);
  const visitor = await visit(scope, mine.tunnel);
  await expect(open(scope, {...options, subdomain: 'theirs'})).rejects.toMatchObject({code: 'NAME_TAKEN'});
  const stop = new AbortController();
  const aborted = open(scope, {...options, signal: stop.signal});
  stop.abort();
  await expect(aborted).rejects.toMatchObject({code: 'ABORTED'});
  await echo(visitor, 'here all the time');
  await echo(await visit(scope, theirs.tunnel), 'so is this');
  await expect.poll(() => counts(relay)).toEqual({agents: 2, tunnels: 4});
});

test('when a link has as many tunnels as the relay allows, the next one gets its own link', async ({
  scope,
}) => {
  const {relay, options} = await rig(scope, {maxTunnelsPerAgent: 4});
  for (let i = 0; i < 5; i += 1) await open(scope, options);
  expect(relay.stats().tunnels).toBe(10);
  expect(relay.stats().agents).toBeGreaterThanOrEqual(3);
});

test('visitors of all tunnels of one link survive its cuts, and each tunnel gets the events', async ({
  scope,
}) => {
  const {relay, options} = await rig(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.address.port}});
  const through = {...options, relay: `https://r1.localhost:${proxy.port}`};
  const all = await Promise.all([1, 2, 3].map(() => open(scope, through)));
  const visitors = await Promise.all(all.map(({tunnel}) => visit(scope, tunnel)));
  for (let cut = 1; cut <= 5; cut += 1) {
    await Promise.all(visitors.map((visitor) => echo(visitor, `before ${cut}`)));
    proxy.reset();
    await Promise.all(visitors.map((visitor) => echo(visitor, `after ${cut}`.repeat(1_000))));
  }
  expect(counts(relay)).toEqual({agents: 1, tunnels: 6});
  const resumed = all.map(({events}) => events.filter(({type}) => type === 'resumed'));
  expect(resumed[0]?.length).toBeGreaterThanOrEqual(5);
  // One event object, for all three.
  for (const other of resumed.slice(1))
    expect(other.every((event, i) => event === resumed[0]?.[i])).toBe(true);
  // Add one tunnel and remove one meanwhile.
  const added = await open(scope, through);
  await all[0]?.tunnel.close();
  proxy.reset();
  await echo(await visit(scope, added.tunnel), 'the new one');
  await echo(visitors[1] as Socket, 'an old one');
});
