// Connections by egress: from which address they leave, where they may go, and how they end.

import {once} from 'node:events';
import {connect, createServer, Socket} from 'node:net';
import {text} from 'node:stream/consumers';
import {expect, vi} from 'vitest';
import {systemClock} from '../../../../src/lib/core/clock.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {rightsOf} from '../../../../src/lib/relay/access/rights.js';
import {Bandwidths} from '../../../../src/lib/relay/limits/bandwidth.js';
import {deafPort} from '../../../helpers/deaf-port.js';
import {EgressRig, SOURCES} from '../../../helpers/egress.js';
import {closed, peerOf, startEcho, startKeeper} from '../../../helpers/egress-places.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {unusedPort} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const [ONE = '', TWO = ''] = SOURCES;

test('a connection leaves from an address of the set, always the same one for one host', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope, {names: {'db.corp': ['127.0.0.1']}});
  const seen = new Set<string>();
  for (let round = 0; round < 4; round += 1) {
    const stream = await rig.open({host: 'db.corp', port});
    const peer = await peerOf(stream);
    seen.add(peer.address);
    expect(SOURCES).toContain(peer.address);
    const [first, last] = rig.settings.egressPorts;
    expect(peer.port).toBeGreaterThanOrEqual(first);
    expect(peer.port).toBeLessThanOrEqual(last);
    stream.destroy();
  }
  expect(seen.size).toBe(1);
});

test('with spread all addresses have the same number of connections', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope);
  const counts = new Map<string, number>();
  for (let round = 0; round < 20; round += 1) {
    const {address} = await peerOf(await rig.open({port, spread: true}));
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  expect(counts).toEqual(new Map(SOURCES.map((address) => [address, 4])));
});

test('bytes, half-closes and resets pass through in both directions', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope);
  const stream = await rig.open({port});
  await peerOf(stream);
  const sent = 'x'.repeat(1_000_000);
  stream.end(sent);
  expect(await text(stream)).toBe(sent);

  const {port: kept, sockets} = await startKeeper(scope);
  const broken = await rig.open({port: kept});
  const failed = closed(broken);
  sockets[0]?.resetAndDestroy();
  expect(await failed).toMatchObject({code: 'UPSTREAM_RESET'});
  const dropped = await rig.open({port: kept});
  const gone = closed(sockets[1] as Socket);
  dropped.destroy();
  expect(await gone).toMatchObject({code: 'ECONNRESET'});
  expect(rig.egress.open).toBe(0);
});

test('bytes wait for the reader at either end', async ({scope}) => {
  const {port, sockets} = await startKeeper(scope);
  const rig = await EgressRig.start(scope);
  const stream = await rig.open({port});
  const socket = sockets[0] as Socket;
  socket.pause();
  const piece = Buffer.alloc(64 * 1024, 'x');
  let written = 0;
  // Far less than this fits into windows and socket buffers.
  while (written < 256 * 1024 * 1024 && stream.write(piece)) written += piece.length;
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
  while (written < 256 * 1024 * 1024 && stream.write(piece)) written += piece.length;
  expect(written).toBeLessThan(64 * 1024 * 1024);
  stream.end();
  let bytes = 0;
  for await (const got of socket) bytes += (got as Buffer).length;
  expect(bytes).toBeGreaterThanOrEqual(written);
});

test('each kind of failure has its code', async ({scope}) => {
  const rig = await EgressRig.start(scope, {
    dialTimeoutMs: 200,
    names: {
      'broken.corp': () => Promise.reject(new Error('SERVFAIL')),
      'six.corp': ['2606:4700::1'],
    },
  });
  expect(await rig.outcome({port: await unusedPort()})).toBe('UPSTREAM_REFUSED');
  expect(await rig.outcome({port: await deafPort(scope)})).toBe('UPSTREAM_TIMEOUT');
  expect(await rig.outcome({host: 'nowhere.corp', port: 1})).toBe('NAME_UNKNOWN');
  expect(await rig.outcome({host: 'broken.corp', port: 1})).toBe('NAME_UNKNOWN');
  // The set has no IPv6 address, and nothing leads from its addresses to the internet.
  expect(await rig.outcome({host: 'six.corp', port: 1})).toBe('UNREACHABLE');
  expect(await rig.outcome({host: '198.51.100.7', port: 1})).toBe('UNREACHABLE');
  expect(await rig.outcome({egress: 'other', port: 1})).toBe('EGRESS_UNKNOWN');
  expect(await rig.outcome({host: '0x7f.1', port: 1})).toBe('EGRESS_FORBIDDEN');
  expect(await rig.outcome({host: 'a/b', port: 1})).toBe('EGRESS_FORBIDDEN');
  await expect(rig.openAbout({egress: 'my-proxy', port: 1})).rejects.toMatchObject({code: 'CANCELLED'});
  expect(rig.egress.open).toBe(0);
  expect(rig.of('egress-refused').map(({code}) => code)).toContain('UPSTREAM_TIMEOUT');
});

test('a destination that resets at once, and an agent that leaves while it is dialled, leave nothing', async ({
  scope,
}) => {
  const server = createServer((socket) => void socket.resetAndDestroy());
  const port = await scope.listen(server);
  const rig = await EgressRig.start(scope);
  for (let round = 0; round < 20; round += 1) {
    const stream = await rig.open({port}).catch((error: Error & {code: string}) => error);
    if (stream instanceof Error) expect(stream.code).toBe('UPSTREAM_RESET');
    else expect(await closed(stream)).toMatchObject({code: 'UPSTREAM_RESET'});
  }
  const deaf = await deafPort(scope);
  const stream = rig.peers.session('agent').open(3, {egress: 'my-proxy', host: '127.0.0.1', port: deaf});
  await expect.poll(() => rig.egress.open).toBe(1);
  stream?.reset('CANCELLED');
  await expect.poll(() => rig.egress.open).toBe(0);
});

test('bytes that came before a dial that failed keep nothing, whatever the failure is', async ({scope}) => {
  const found = Promise.withResolvers<readonly string[]>();
  const rig = await EgressRig.start(scope, {names: {'slow.corp': () => found.promise}});
  const connecting = vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket) {
    return this.destroy(Object.assign(new Error('reset'), {code: 'ECONNRESET'}));
  });
  scope.onEnd(() => connecting.mockRestore());
  const stream = rig.peers
    .session('agent')
    .open(3, {egress: 'my-proxy', host: 'slow.corp', port: 1}) as Stream;
  const refused = new Promise<string>((resolve) => {
    stream.sink = {onData: () => {}, onEnd: () => {}, onWritable: () => {}, onReset: resolve};
  });
  stream.write(Buffer.from('early'));
  await expect.poll(() => rig.egress.totals.bytesOut).toBe(5);
  found.resolve(['127.0.0.1']);
  expect(await refused).toBe('UPSTREAM_RESET');
  expect(rig.egress.open).toBe(0);
  expect(rig.of('egress-refused')).toMatchObject([{code: 'UPSTREAM_RESET'}]);
});

test('a relay that cannot read the addresses of its machine dials nothing, and says once why', async ({
  scope,
}) => {
  const port = await startEcho(scope, '127.0.0.7');
  const warnings: unknown[] = [];
  const rig = await EgressRig.start(scope, {
    ownAddresses: () => {
      throw new Error('uv_interface_addresses returned EAFNOSUPPORT');
    },
    log: {warn: (message, fields) => void warnings.push({message, ...fields})},
  });
  for (let round = 0; round < 3; round += 1)
    expect(await rig.outcome({host: '127.0.0.7', port})).toBe('UNREACHABLE');
  expect(warnings).toEqual([
    {
      message: expect.stringContaining('addresses of this machine cannot be read'),
      reason: expect.stringContaining('EAFNOSUPPORT'),
    },
  ]);
});

test('one look-up decides: what the DNS says later changes nothing', async ({scope}) => {
  const port = await startEcho(scope, '127.0.0.7');
  const answers = [['127.0.0.7'], ['10.0.0.1'], ['169.254.169.254'], ['127.0.0.7']];
  const rig = await EgressRig.start(scope, {names: {'changing.corp': () => answers.shift() ?? []}});
  const outcomes: string[] = [];
  for (let round = 0; round < 4; round += 1) outcomes.push(await rig.outcome({host: 'changing.corp', port}));
  expect(outcomes).toEqual(['opened', 'EGRESS_FORBIDDEN', 'EGRESS_FORBIDDEN', 'opened']);
  expect(rig.lookedUp).toHaveLength(4);
  expect(new Set(rig.of('egress-opened').map(({address}) => address))).toEqual(new Set(['127.0.0.7']));
});

test('names that lead to this machine or to private networks are refused, and nothing is dialled', async ({
  scope,
}) => {
  const {port, sockets} = await startKeeper(scope);
  const forbidden = ['127.0.0.1', '::1', '::ffff:127.0.0.1', '0.0.0.0', '10.0.0.1', '64:ff9b::7f00:1'];
  const names = Object.fromEntries(forbidden.map((address, at) => [`n${at}.corp`, [address]]));
  const rig = await EgressRig.start(scope, {
    names: {...names, 'mixed.corp': ['127.0.0.1', '10.0.0.1']},
    settings: {egress: ['my-proxy=127.0.0.2,::1'], egressAllowPrivate: []},
  });
  for (const host of [...Object.keys(names), 'mixed.corp', ...forbidden, 'localhost', 'x.localhost'])
    expect(await rig.outcome({host, port}), host).toMatch(/^(EGRESS_FORBIDDEN|NAME_UNKNOWN)$/);
  expect(sockets).toHaveLength(0);
});

test('only the addresses of a name that are allowed are dialled', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope, {names: {'mixed.corp': ['10.0.0.1', '127.0.0.1', '::1']}});
  expect(await rig.outcome({host: 'mixed.corp', port})).toBe('opened');
  expect(rig.of('egress-opened')[0]).toMatchObject({address: '127.0.0.1', host: 'mixed.corp'});
});

test('the relay’s own names are loops before a look-up, and its ports are loops at every address of it', async ({
  scope,
}) => {
  const {port, sockets} = await startKeeper(scope);
  const tunnelled = await startKeeper(scope);
  const rig = await EgressRig.start(scope, {
    names: {'alias.corp': ['127.0.0.1']},
    own: {isDoor: (each) => each === port, isTunnel: async (each) => each === tunnelled.port},
  });
  for (const host of ['r1.example', 'demo.r1.example', '127.0.0.1', '127.0.0.77', 'alias.corp'])
    expect(await rig.outcome({host, port}), host).toBe('EGRESS_FORBIDDEN');
  expect(await rig.outcome({host: 'alias.corp', port: tunnelled.port})).toBe('EGRESS_FORBIDDEN');
  expect(rig.lookedUp).toEqual(['alias.corp', 'alias.corp']);
  expect([...sockets, ...tunnelled.sockets]).toHaveLength(0);
});

test('the public address in front of the relay is the relay itself, also under another name', async ({
  scope,
}) => {
  const {port, sockets} = await startKeeper(scope);
  const names = {'r1.example': ['127.0.0.9'], 'alias.corp': ['127.0.0.9'], 'db.corp': ['127.0.0.1']};
  const rig = await EgressRig.start(scope, {
    names,
    own: {isDoor: (each) => each === 443, isTunnel: () => false},
  });
  expect(await rig.outcome({host: 'alias.corp', port: 443})).toBe('EGRESS_FORBIDDEN');
  expect(sockets).toHaveLength(0);
  rig.egress.reload({...rig.settings, egressAllowPrivate: ['127.0.0.1']});
  expect(await rig.outcome({host: 'alias.corp', port})).toBe('EGRESS_FORBIDDEN');
  expect(await rig.outcome({host: 'db.corp', port})).toBe('opened');
});

test('an IPv6 address of the set is for IPv6 destinations alone', async ({scope}) => {
  const names = {'both.corp': ['127.0.0.1', '::1']};
  const rig = await EgressRig.start(scope, {
    names,
    settings: {egress: ['my-proxy=::1', 'four=127.0.0.2'], egressAllowPrivate: ['127.0.0.0/8', '::1']},
  });
  const port = await startEcho(scope, '::1');
  const {address} = await peerOf(await rig.open({host: 'both.corp', port}));
  expect(address).toBe('::1');
  expect(await rig.outcome({egress: 'four', host: 'both.corp', port})).toBe('UPSTREAM_REFUSED');
});

test('each address has all ports of the range for each destination, beside others that use some', async ({
  scope,
}) => {
  const places = [await startKeeper(scope), await startKeeper(scope), await startKeeper(scope)];
  const first = 28_100;
  const rig = await EgressRig.start(scope, {
    settings: {egress: [`my-proxy=${ONE}`], egressPorts: [first, first + 9]},
  });
  // Another process has one port for the first destination, and listens at another one.
  const [target] = places;
  if (target === undefined) throw new Error('no destination');
  const other = connect({host: '127.0.0.1', port: target.port, localAddress: ONE, localPort: first + 3});
  scope.onEnd(() => void other.destroy());
  await once(other, 'connect');
  await scope.listen(createServer(), ONE, first + 5);
  /** How many are opened before the first one is refused. */
  const opened = async (port: number) => {
    for (let count = 0; ; count += 1) {
      const outcome = await rig.open({port}).catch((error: Error & {code: string}) => error.code);
      if (typeof outcome !== 'string') continue;
      expect(outcome).toBe('TOO_MANY_STREAMS');
      return count;
    }
  };
  const counts: number[] = [];
  for (const {port} of places) counts.push(await opened(port));
  expect(counts).toEqual([8, 9, 9]);
});

test('an address that is not of this machine stops the start', async ({scope}) => {
  const settings = {egress: ['my-proxy=127.0.0.2,203.0.113.1']};
  await expect(EgressRig.start(scope, {settings})).rejects.toMatchObject({
    code: 'EGRESS_ADDRESS',
    message: expect.stringContaining('203.0.113.1'),
  });
});

test('an address that is lost later is never replaced by another source than one of the set', async ({
  scope,
}) => {
  const port = await startEcho(scope);
  const clock = new ManualClock();
  let gone: string | undefined;
  const rig = await EgressRig.start(scope, {
    clock,
    settings: {egress: [`my-proxy=203.0.113.1,${TWO}`, 'alone=203.0.113.1']},
    tryBind: async (address) => (address === '203.0.113.1' ? gone : undefined),
  });
  const lost = rig.next('egress-address-lost');
  for (let round = 0; round < 4; round += 1) {
    const {address} = await peerOf(await rig.open({host: `127.0.0.1`, port, spread: true}));
    expect(address).toBe(TWO);
  }
  expect(await lost).toMatchObject({
    address: '203.0.113.1',
    egress: 'my-proxy alone',
    code: 'EADDRNOTAVAIL',
  });
  expect(await rig.outcome({egress: 'alone', port})).toBe('EGRESS_UNHEALTHY');
  expect((await rig.ask({service: 'egress'})) as object).toMatchObject({
    egresses: [
      {name: 'my-proxy', addresses: [{healthy: false}, {healthy: true}]},
      {name: 'alone', addresses: [{healthy: false}]},
    ],
  });
  gone = undefined;
  const back = rig.next('egress-address-back');
  clock.advance(5_000);
  expect(await back).toMatchObject({address: '203.0.113.1'});
  gone = 'EADDRNOTAVAIL';
  // The check that has just found it is still under way.
  await expect
    .poll(() => {
      clock.advance(5_000);
      return rig.of('egress-address-lost').length;
    })
    .toBe(2);
});

test('an owner has a limit of connections, and of new ones a second', async ({scope}) => {
  const {port} = await startKeeper(scope);
  const clock = new ManualClock();
  const rig = await EgressRig.start(scope, {
    clock,
    settings: {maxEgressPerOwner: 12, egressPerSecondPerOwner: 1},
  });
  const streams = [];
  for (let i = 0; i < 10; i += 1) streams.push(await rig.open({port}));
  await expect(rig.open({port})).rejects.toMatchObject({
    code: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/next in 1 s/),
  });
  clock.advance(2_000);
  streams.push(await rig.open({port}), await rig.open({port}));
  clock.advance(2_000);
  await expect(rig.open({port})).rejects.toMatchObject({message: expect.stringMatching(/12 connections/)});
  expect(rig.limits).toEqual(['new-egress owner ana', 'egress owner ana']);
  rig.principal = {...rig.principal, owner: 'bob'};
  streams.push(await rig.open({port}));
  rig.principal = {...rig.principal, owner: 'ana'};
  streams[0]?.destroy();
  await expect.poll(() => rig.egress.open).toBe(12);
  streams.push(await rig.open({port}));
});

test('the bytes of an owner are limited together with those of its tunnels', async ({scope}) => {
  const port = await startEcho(scope);
  const clock = systemClock;
  const bandwidths = new Bandwidths({clock, settings: {bytesPerSecondPerOwner: 4_000_000} as never});
  scope.onEnd(() => bandwidths.close());
  const rig = await EgressRig.start(scope, {bandwidths});
  const stream = await rig.open({port});
  await peerOf(stream);
  const sent = 'y'.repeat(1_000_000);
  const from = performance.now();
  stream.end(sent);
  expect(await text(stream)).toBe(sent);
  // Two million bytes at four million a second; a burst is free.
  expect(performance.now() - from).toBeGreaterThan(300);
});

test('a token reaches what its rules allow, now and after a change', async ({scope}) => {
  const {port, sockets} = await startKeeper(scope);
  let rights = rightsOf(['egress:my-*'], [`db.corp:${port}`]);
  const rig = await EgressRig.start(scope, {
    names: {'db.corp': ['127.0.0.1'], 'api.corp': ['127.0.0.1']},
    settings: {egress: [`my-proxy=${ONE}`, `other=${TWO}`]},
  });
  const {principal} = rig;
  rig.principal = {
    ...principal,
    get rights() {
      return rights;
    },
  };
  const stream = await rig.open({host: 'db.corp', port});
  await expect(rig.open({host: 'api.corp', port})).rejects.toMatchObject({
    code: 'EGRESS_FORBIDDEN',
    message: `The token does not allow api.corp:${port}.`,
  });
  // The address behind an allowed name is another destination.
  expect(await rig.outcome({host: '127.0.0.1', port})).toBe('EGRESS_FORBIDDEN');
  expect(await rig.outcome({egress: 'other', host: 'db.corp', port})).toBe('NOT_ALLOWED');
  expect(rig.lookedUp).toEqual(['db.corp']);
  rights = rightsOf(['egress:my-*'], [`db.corp:${port}`, 'api.corp:*']);
  rig.streams.recheck();
  const second = await rig.open({host: 'api.corp', port});
  rights = rightsOf(['egress:my-*'], ['api.corp:*']);
  const [ends, gone] = [closed(stream), closed(sockets[0] as Socket)];
  rig.streams.recheck();
  expect(await ends).toMatchObject({code: 'EGRESS_FORBIDDEN'});
  expect(await gone).toMatchObject({code: 'ECONNRESET'});
  expect(second.destroyed).toBe(false);
  rights = rightsOf(['egress:other']);
  rig.streams.recheck();
  expect(await closed(second)).toMatchObject({code: 'NOT_ALLOWED'});
});

test('a drain waits for open connections as long as there is time', async ({scope}) => {
  const {port, sockets} = await startKeeper(scope);
  const rig = await EgressRig.start(scope);
  await rig.egress.drain(systemClock.now() + 60_000);
  const stream = await rig.open({port});
  await rig.egress.drain(systemClock.now());
  expect(stream.destroyed).toBe(false);
  let isDrained = false;
  const drained = rig.egress.drain(systemClock.now() + 60_000).then(() => {
    isDrained = true;
  });
  rig.streams.drain();
  expect(await rig.outcome({port})).toBe('DRAINING');
  expect(isDrained).toBe(false);
  sockets[0]?.resume();
  stream.resume();
  stream.end();
  sockets[0]?.end();
  await drained;
  expect(await closed(stream)).toBeNull();
});

test('without free descriptors a connection is refused', async ({scope}) => {
  const {port, sockets} = await startKeeper(scope);
  const rig = await EgressRig.start(scope, {isFull: () => true});
  expect(await rig.outcome({port})).toBe('TOO_MANY_STREAMS');
  expect(sockets).toHaveLength(0);
});

test('events name token, host, port and addresses, and no payload', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope, {names: {'db.corp': ['127.0.0.1']}});
  const stream = await rig.open({host: 'DB.corp.', port});
  const {address: source} = await peerOf(stream);
  stream.end('secret-payload');
  await text(stream);
  const about = {
    session: 'session-',
    owner: 'ana',
    tokenId: 'aaaaaaaaaa',
    egress: 'my-proxy',
    host: 'db.corp.',
    port,
    address: '127.0.0.1',
    source,
  };
  expect(rig.of('egress-opened')).toEqual([{type: 'egress-opened', ...about}]);
  expect(rig.of('egress-closed')).toEqual([
    {
      type: 'egress-closed',
      ...about,
      ms: expect.any(Number),
      bytesIn: expect.any(Number),
      bytesOut: 14,
      code: undefined,
    },
  ]);
  expect(JSON.stringify(rig.events)).not.toContain('secret-payload');
});
