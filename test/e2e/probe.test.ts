// Probes through public names, with a relay and agents in this process: what they show, which leg they name, and that no
// upstream ever gets one.

import {once} from 'node:events';
import {createServer, type Socket} from 'node:net';
import {createServer as createTlsServer} from 'node:tls';
import {expect} from 'vitest';
import {type ForwardOptions, forward, type Tunnel, type TunnelEvent} from '../../src/index.js';
import type {ProbeEvent} from '../../src/lib/agent/events.js';
import type {RelayOptions} from '../../src/lib/relay/options.js';
import type {RunningRelay} from '../../src/lib/relay/running-relay.js';
import {startRunningRelay} from '../../src/lib/relay/start.js';
import {testIdentity} from '../helpers/carriers.js';
import {eventually} from '../helpers/eventually.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {RelayEar} from '../helpers/relay-events.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {tlsVisitor} from '../helpers/visitors.js';

interface World {
  relay: RunningRelay;
  ear: RelayEar;
  options: ForwardOptions & {stateDir: string; caFile: string};
}

async function start(scope: Scope, more: RelayOptions = {}): Promise<World> {
  const stateDir = more.stateDir ?? (await scope.tempDir('state'));
  const ear = new RelayEar();
  const options = {domain: 'r1.localhost', tcpPorts: [0, 0], ...more, stateDir} as const;
  const relay = scope.own(await startRunningRelay(options, {listeners: [ear.listen]}));
  // The agent dials the relay's own port, whatever the public one is.
  const url = `https://r1.localhost:${relay.address.port}`;
  return {relay, ear, options: {relay: url, caFile: relay.caFile ?? '', stateDir}};
}

/** An upstream that greets first, and its visitors. */
async function greeter(scope: Scope): Promise<{port: number; visitors: Socket[]}> {
  const visitors: Socket[] = [];
  const server = createServer((socket) => {
    visitors.push(socket.on('error', () => {}));
    socket.write('220 hello\r\n');
  });
  return {port: await scope.listen(server), visitors};
}

async function open(
  scope: Scope,
  port: number,
  options: ForwardOptions,
): Promise<{tunnel: Tunnel; events: TunnelEvent[]; probes: () => ProbeEvent[]}> {
  const events: TunnelEvent[] = [];
  const tunnel = scope.own(await forward(port, {...options, onEvent: (event) => events.push(event)}));
  return {tunnel, events, probes: () => events.filter((event) => event.type === 'probe')};
}

test.for([
  ['a name', {}, 'passed'],
  ['a name and a TCP port, whose upstream speaks first', {unencrypted: true}, 'passed'],
  ['rules about addresses that let this machine in', {cidrAllow: ['127.0.0.1']}, 'passed'],
  ['without probes', {probe: false}, undefined],
] as const)(
  '%s: the upstream gets no visitor, and the next one is real',
  async ([_what, more, expected], {scope}) => {
    const {options} = await start(scope);
    const {port, visitors} = await greeter(scope);
    const {tunnel, events} = await open(scope, port, {...options, ...more});
    expect(tunnel.ready.probe).toBe(expected);
    expect(events.map(({type}) => type)).toEqual(['ready']);
    const [host, tlsPort] = tunnel.tlsSocket;
    const visitor = await tlsVisitor(scope, {host, port: tlsPort}, {caFile: options.caFile});
    const [greeting] = (await once(visitor, 'data')) as [Buffer];
    expect([String(greeting), visitors.length]).toEqual(['220 hello\r\n', 1]);
  },
);

test('several tunnels of a link, and one of a relay inside this process', async ({scope}) => {
  const {options} = await start(scope);
  const {port} = await greeter(scope);
  const {port: other} = await greeter(scope);
  const all = await Promise.all([port, other].map((each) => open(scope, each, options)));
  const {stateDir} = options;
  const own = await open(scope, port, {stateDir});
  expect([...all, own].map(({tunnel}) => tunnel.ready.probe)).toEqual(['passed', 'passed', 'passed']);
  expect(own.tunnel.url).toMatch(/^https:\/\/localhost:\d+$/);
});

test('a stranger with the protocol of probes reaches no upstream, and gets no answer', async ({scope}) => {
  const {options} = await start(scope);
  const {port, visitors} = await greeter(scope);
  const {tunnel, events} = await open(scope, port, options);
  const [host, tlsPort] = tunnel.tlsSocket;
  const stranger = await tlsVisitor(
    scope,
    {host, port: tlsPort},
    {caFile: options.caFile, alpn: ['tunl-probe']},
  );
  stranger.on('error', () => {});
  let got = '';
  stranger.on('data', (bytes: Buffer) => {
    got += String(bytes);
  });
  stranger.write('a'.repeat(64));
  await new Promise((resolve) => stranger.on('close', resolve));
  expect([got, visitors.length, events.length]).toEqual(['', 0, 1]);
});

/** Where the public port leads to, and the leg that fails then. */
const WRONG: readonly [string, (scope: Scope) => Promise<{publicPort: number; stateDir?: string}>, string][] =
  [
    ['nothing listens there', async () => ({publicPort: await unusedPort()}), 'PROBE_TCP'],
    [
      'something that speaks no TLS',
      async (scope) => ({publicPort: await scope.listen(createServer((socket) => void socket.end('hello')))}),
      'PROBE_TLS',
    ],
    [
      'a server with another certificate',
      async (scope) => ({publicPort: await scope.listen(createTlsServer(await testIdentity()))}),
      'PROBE_TLS',
    ],
    [
      'another relay of the same name and CA',
      async (scope) => {
        const {relay, options} = await start(scope, {keepLeases: false});
        return {publicPort: relay.address.port, stateDir: options.stateDir};
      },
      'PROBE_SESSION',
    ],
  ];

test.for(WRONG)('%s: the address is told with the leg that fails', async ([_what, wrong, code], {scope}) => {
  const {relay, ear, options} = await start(scope, {keepLeases: false, ...(await wrong(scope))});
  const {port, visitors} = await greeter(scope);
  const {tunnel, events, probes} = await open(scope, port, options);
  expect(tunnel.ready.probe).toBe('failed');
  expect(events.map(({type}) => type)).toEqual(['ready', 'probe']);
  expect(probes()).toMatchObject([{state: 'failed', by: 'agent', code}]);
  // A failed probe ends nothing.
  const at = {host: tunnel.tlsSocket[0], port: relay.address.port};
  const visitor = await tlsVisitor(scope, at, {caFile: options.caFile});
  await once(visitor, 'data');
  expect(visitors).toHaveLength(1);
  // The relay sees the same of its own tunnel.
  await ear.heard('probe-failed');
  const leg = {PROBE_TCP: 'tcp', PROBE_TLS: 'tls', PROBE_SESSION: 'session'}[code];
  expect(ear.all('probe-failed')).toMatchObject([{leg, ready: leg === 'tcp'}]);
  expect(relay.probe).toMatchObject({ok: false, leg, proven: false});
});

test('after a lost link the tunnel is live again when a probe has gone through', async ({scope}) => {
  const {relay, options} = await start(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.address.port}});
  const {port, visitors} = await greeter(scope);
  const {events} = await open(scope, port, {...options, relay: `https://r1.localhost:${proxy.port}`});
  await proxy.refuse();
  proxy.reset();
  await eventually(() => expect(events.map(({type}) => type)).toContain('reconnecting'));
  await proxy.accept();
  await eventually(() => expect(events.at(-1)).toMatchObject({type: 'probe', state: 'passed', by: 'agent'}));
  expect(events.map(({type}) => type)).toContain('resumed');
  expect(visitors).toHaveLength(0);
});

test.for([1, 2])(
  'a relay of %i processes reaches its own tunnel, and counts neither tunnel nor agent',
  async (workers, {scope}) => {
    const {relay, ear} = await start(scope, {workers});
    await eventually(() => expect(relay.probe).toBeDefined());
    expect(relay.probe).toMatchObject({ok: true, proven: true, ready: true});
    expect(Object.keys(relay.probe?.ms ?? {})).toEqual(['dns', 'tcp', 'tls', 'session', 'upstream']);
    expect(relay.stats()).toMatchObject({agents: 0, tunnels: 0});
    expect(ear.events).toEqual([]);
  },
);

test('a tunnel that takes no visitors from this machine is probed by the relay', async ({scope}) => {
  const {options, ear} = await start(scope);
  const {port} = await greeter(scope);
  const rules = {cidrAllow: ['203.0.113.0/24'], unencrypted: true};
  const {tunnel, events} = await open(scope, port, {...options, ...rules});
  expect(tunnel.ready.probe).toBe('passed');
  expect(events.map(({type}) => type)).toEqual(['ready']);
  expect(ear.all('address-refused')).toEqual([]);
});

test('a relay that is full of visitors reaches its own tunnel', async ({scope}) => {
  const {relay, ear, options} = await start(scope, {maxVisitors: 1});
  const {port} = await greeter(scope);
  const {tunnel} = await open(scope, port, {...options, probe: false});
  const [host, tlsPort] = tunnel.tlsSocket;
  const visitor = await tlsVisitor(scope, {host, port: tlsPort}, {caFile: options.caFile});
  await once(visitor, 'data');
  await eventually(() => expect(relay.probe).toMatchObject({ok: true}));
  expect(ear.all('limit-reached')).toEqual([]);
});

test('a relay without probes makes none', async ({scope}) => {
  const {relay} = await start(scope, {probe: false});
  const {port} = await greeter(scope);
  expect(relay.probe).toBeUndefined();
  // Agents are served nevertheless.
  const {options} = await start(scope, {probe: false});
  expect((await open(scope, port, options)).tunnel.ready.probe).toBe('passed');
});
