// Egress at a relay in another process: addresses at the start, tokens with destinations, workers, reload, audit, and links that are cut.

import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import type {RelayNetworkEvent} from '../../src/lib/cli/relay-events.js';
import {EgressClient} from '../../src/lib/egress/client.js';
import {openLink} from '../../src/lib/open-link.js';
import {runCli} from '../helpers/cli.js';
import {closed, peerOf, startEcho} from '../helpers/egress-places.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {MemberAgent} from '../helpers/members.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {parseEvent} from '../project/event-schema.js';

const EGRESS = ['--egress', 'my-proxy=127.0.0.2,127.0.0.3', '--egress-allow-private', '127.0.0.0/8'];

async function clientOf(scope: Scope, relay: RelayProcess, token: string, port = relay.port) {
  const link = scope.own(
    await openLink({
      relay: `https://${relay.domain}:${port}`,
      token,
      caFile: relay.caFile,
      stateDir: await scope.tempDir('agent'),
    }),
  );
  return new EgressClient(link, {egress: 'my-proxy'});
}

test('tokens reach what they may, over several workers; a change ends open connections; all of it is in the audit', async ({
  scope,
}) => {
  const port = await startEcho(scope);
  const stateDir = await scope.tempDir('relay');
  const audit = join(stateDir, 'audit.log');
  const relay = await startRelayProcess(scope, {
    stateDir,
    flags: [...EGRESS, '--workers', '2', '--audit-file', audit, '--metrics-listen', '127.0.0.1:0'],
  });
  const tokens = async (...words: string[]) => await runCli(scope, ['relay', 'token', ...words], {stateDir});
  const rules = `127.0.0.1:${port},*.example.com:443`;
  const made = await tokens('create', 'job', '--scope', 'egress:my-*', '--allow', rules);
  expect(made.code).toBe(0);
  const listed = await tokens('list');
  expect(listed.stdout).toContain(`egress:my-* only 127.0.0.1:${port} *.example.com:443`);
  const useless = await tokens('create', 'x', '--scope', 'name:*', '--allow', 'db.corp:5432');
  expect([useless.code, useless.stderr]).toEqual([2, expect.stringContaining('allows no egress')]);

  // Agents of both workers.
  const clients = [
    await clientOf(scope, relay, made.stdout.trim()),
    await clientOf(scope, relay, made.stdout.trim()),
  ];
  const [client] = clients as [EgressClient, EgressClient];
  const streams = await Promise.all(clients.map((each) => each.connect({host: '127.0.0.1', port})));
  for (const stream of streams) expect(['127.0.0.2', '127.0.0.3']).toContain((await peerOf(stream)).address);
  expect(await client.list()).toEqual([
    {
      name: 'my-proxy',
      addresses: [
        {address: '127.0.0.2', healthy: true},
        {address: '127.0.0.3', healthy: true},
      ],
    },
  ]);
  await expect(client.connect({host: '127.0.0.1', port: port + 1})).rejects.toMatchObject({
    code: 'EGRESS_FORBIDDEN',
  });
  // The relay's own door, at an address that the operator has allowed.
  const owner = await clientOf(scope, relay, relay.token);
  await expect(owner.connect({host: '127.0.0.1', port: relay.port})).rejects.toMatchObject({
    code: 'EGRESS_FORBIDDEN',
    message: expect.stringMatching(/loop/),
  });
  const {caFile} = relay;
  const member = await MemberAgent.open(scope, {
    ...{relay: relay.url, token: relay.token, stateDir: await scope.tempDir('member')},
    ...(caFile !== undefined && {caFile}),
  });
  const {address} = (await member.join({network: 'lab', name: 'trainer'})).joined ?? {};
  const status = await runCli(scope, ['relay', 'status', '--json'], {stateDir});
  const [first, ofEgress, ofNetwork] = status.stdout
    .split('\n', 3)
    .map((line) => parseEvent(line) as Record<string, unknown> & {type: string});
  expect(first).toMatchObject({counts: {egress: 2, egressTotal: 2, networks: 1, members: 1}});
  expect(ofEgress).toEqual({
    type: 'relay-egress',
    egress: 'my-proxy',
    addresses: ['127.0.0.2', '127.0.0.3'].map((each) => ({address: each, healthy: true})),
    connections: 2,
    owners: [{owner: 'job', connections: 2}],
  });
  const [{owner: ofMember, session}] = (ofNetwork as unknown as RelayNetworkEvent).members as [
    RelayNetworkEvent['members'][number],
  ];
  expect(ofNetwork).toEqual({
    type: 'relay-network',
    network: 'net:lab',
    members: [{name: 'trainer', address, owner: ofMember, session, accepts: true, bytesIn: 0, bytesOut: 0}],
  });
  expect(status.stdout).toContain(`"session":"${session}"`);
  const told = await runCli(scope, ['relay', 'status'], {stateDir});
  expect(told.stderr).toContain('egress my-proxy: 127.0.0.2, 127.0.0.3, 2 connections (job 2)');
  expect(told.stderr).toContain(`net:lab: 1 member, trainer (${ofMember})`);
  expect(told.stdout).not.toMatch(/egress|net:lab/);
  const {metrics} = await relay.cli.event('listening');
  const page = await (await fetch(`http://127.0.0.1:${metrics?.port}/metrics`)).text();
  expect(page).toContain('tunl_relay_egress_address_up{egress="my-proxy",address="127.0.0.2"} 1\n');
  expect(page).toMatch(/^tunl_relay_networks 1$/m);
  expect(page).toMatch(/^tunl_relay_network_members 1$/m);

  const ends = streams.map((stream) => closed(stream));
  expect((await tokens('set', 'job', '--allow', 'db.corp:5432')).code).toBe(0);
  for (const end of await Promise.all(ends)) expect(end).toMatchObject({code: 'ECONNRESET'});
  await expect(client.connect({host: '127.0.0.1', port})).rejects.toMatchObject({code: 'EGRESS_FORBIDDEN'});

  await relay.cli.stop();
  const lines = (await readFile(audit, 'utf8')).trim().split('\n');
  const of = (what: string) =>
    lines.map((line) => JSON.parse(line) as {what: string}).filter((line) => line.what === what);
  const about = {egress: 'my-proxy', host: '127.0.0.1', port, address: '127.0.0.1', owner: 'job'};
  expect(of('egress-opened')).toHaveLength(2);
  expect(of('egress-opened')[0]).toMatchObject({...about, tokenId: expect.stringMatching(/^[a-z2-7]{10}$/)});
  expect(of('egress-closed')[0]).toMatchObject({...about, code: 'EGRESS_FORBIDDEN', bytesOut: 0});
});

test.for([1, 2])(
  'a relay of %i processes does not start with an address that is not of its machine, and does not take one later',
  async (workers, {scope}) => {
    const foreign = ['--egress', 'my-proxy=127.0.0.2,203.0.113.1'];
    const start = ['relay', 'start', '--domain', 'r1.localhost', '--workers', String(workers), '--json'];
    const failed = await runCli(scope, [...start, ...foreign]);
    expect([failed.code, failed.stdout]).toEqual([8, expect.stringContaining('EGRESS_ADDRESS')]);

    const folder = await scope.tempDir('config');
    const config = join(folder, 'relay.yaml');
    const put = async (address: string) =>
      await writeFile(
        config,
        [
          'domain: r1.localhost',
          `workers: ${workers}`,
          'drain-timeout: 0s',
          'log-level: info',
          'egress:',
          `  - my-proxy=${address}`,
          '',
        ].join('\n'),
      );
    await put('203.0.113.1');
    const checked = await runCli(scope, ['relay', 'check', config, '--json']);
    expect([checked.code, checked.stdout]).toEqual([2, expect.stringContaining('203.0.113.1')]);
    await put('127.0.0.2');
    expect((await runCli(scope, ['relay', 'check', config])).code).toBe(0);
    const relay = await startRelayProcess(scope, {
      flags: ['--config', config, '--egress-allow-private', '127.0.0.0/8'],
      workers: false,
    });
    const port = await startEcho(scope);
    const client = await clientOf(scope, relay, relay.token);
    const leaves = async () => (await peerOf(await client.connect({host: '127.0.0.1', port}))).address;
    expect(await leaves()).toBe('127.0.0.2');
    await put('203.0.113.1');
    relay.cli.signal('SIGHUP');
    await relay.cli.saidOnStderr(/the new settings cannot be used.*EGRESS_ADDRESS/);
    expect(await leaves()).toBe('127.0.0.2');
    await put('127.0.0.4');
    relay.cli.signal('SIGHUP');
    await relay.cli.saidOnStderr(/the settings were read again changed=egress/);
    expect(await leaves()).toBe('127.0.0.4');
  },
);

test('200 MB arrive whole although the link is cut five times', async ({scope}) => {
  const bytes = 200_000_000;
  const piece = Buffer.from(Array.from({length: 99_991}, (_, at) => (at * 7_919) % 251));
  const sent = createHash('sha256');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    let left = bytes;
    const write = () => {
      while (left > 0) {
        const next = piece.subarray(0, Math.min(left, piece.length));
        sent.update(next);
        left -= next.length;
        if (!socket.write(next)) return void socket.once('drain', write);
      }
      socket.end();
    };
    write();
  });
  const port = await scope.listen(server);
  const relay = await startRelayProcess(scope, {flags: EGRESS});
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const client = await clientOf(scope, relay, relay.token, proxy.port);
  const stream = await client.connect({host: '127.0.0.1', port});
  const heard = createHash('sha256');
  let got = 0;
  let cuts = 0;
  const cut = async () => {
    await proxy.cutAfter('down', 25_000_000);
    cuts += 1;
    if (cuts < 5) void cut();
  };
  void cut();
  stream.on('data', (chunk: Buffer) => {
    heard.update(chunk);
    got += chunk.length;
  });
  await once(stream, 'end');
  expect([got, cuts]).toEqual([bytes, 5]);
  expect(heard.digest('hex')).toBe(sent.digest('hex'));
});
