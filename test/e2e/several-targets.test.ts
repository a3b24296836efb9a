// `tunl expose 3000 5432:tcp NAME=8080`: several targets in one command, over one link.

import {once} from 'node:events';
import type {Socket} from 'node:net';
import {expect} from 'vitest';
import type {CliEvent} from '../../src/lib/cli/events.js';
import {runCli, startCli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {curl, tcpVisitor as openTcp, tlsVisitor as openTls} from '../helpers/visitors.js';

const three = async (scope: Scope) =>
  (await Promise.all([1, 2, 3].map(() => echoUpstream(scope)))) as [number, number, number];

/** Visitors who are still connected at the end are reset. */
const tcpVisitor = async (scope: Scope, port: number) => (await openTcp(scope, port)).on('error', () => {});
const tlsVisitor: typeof openTls = async (...about) => (await openTls(...about)).on('error', () => {});

async function echo(visitor: Socket, text: string): Promise<void> {
  visitor.write(text);
  let heard = '';
  while (heard !== text) heard += String((await once(visitor, 'data'))[0]);
}

test('each target has its line on stdout: its name, a tab, its address; and they share one link', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const [a, b, c] = await three(scope);
  const cli = await startCli(scope, ['expose', `${a}`, `${b}:tcp`, `shop-7=${c}`], {env: relay.env});
  await cli.line((line) => line.startsWith('shop-7\t'));
  const found = cli.lines.map((line) => line.split('\t') as [string, string]);
  expect(found.map(([name]) => name)).toEqual([`${a}`, `${b}`, 'shop-7']);
  const [first, second, third] = found.map(([, address]) => address) as [string, string, string];
  expect(first).toMatch(/^https:\/\/[a-z2-7]{26}\.r1\.localhost:\d+$/);
  expect(second).toMatch(/^localhost:\d+$/);
  expect(third).toBe(`https://shop-7.r1.localhost:${relay.port}`);
  await echo(await tcpVisitor(scope, Number(second.split(':')[1])), 'by TCP');
  for (const address of [first, third]) {
    const {hostname, port} = new URL(address);
    await echo(await tlsVisitor(scope, {host: hostname, port: Number(port)}, relay), 'by TLS');
  }
  const health = await curl(scope, relay.caFile, [`${relay.url}/healthz`]);
  expect(JSON.parse(health.stdout)).toMatchObject({agents: 1, tunnels: 4});
  expect(await cli.stop('SIGINT')).toMatchObject({code: 0});
});

test('events have the name of their tunnel, and events of the link come once', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const env = {...relay.env, TUNL_RELAY: `https://${relay.domain}:${proxy.port}`};
  const ports = await three(scope);
  const words = ports.map((port, i) => `${'xyz'[i]}-1=${port}:tcp`);
  const cli = await startCli(scope, ['expose', ...words, '--json'], {env});
  const names = ['x-1', 'y-1', 'z-1'];
  const visitors: Socket[] = [];
  for (const name of names) {
    const {tcp} = await cli.event('ready', ({tunnel}) => tunnel === name);
    visitors.push(await tcpVisitor(scope, tcp?.port ?? 0));
  }
  const cuts = 5;
  for (let cut = 1; cut <= cuts; cut += 1) {
    await Promise.all(visitors.map((visitor) => echo(visitor, `before ${cut}`)));
    proxy.reset();
    await Promise.all(visitors.map((visitor) => echo(visitor, `after ${cut}`.repeat(5_000))));
    await cli.event('resumed', () => cli.events.filter(({type}) => type === 'resumed').length >= cut);
  }
  for (const visitor of visitors) visitor.end();
  for (const name of names)
    await cli.event('connection', (event) => event.state === 'closed' && event.tunnel === name);
  expect(await cli.stop('SIGINT')).toMatchObject({code: 0});
  const of = (type: CliEvent['type']) => cli.events.filter((event) => event.type === type);
  expect(of('resumed').length).toBe(cuts);
  expect(of('resumed').every((event) => !('tunnel' in event))).toBe(true);
  expect(
    of('closed')
      .map((event) => ('tunnel' in event ? event.tunnel : undefined))
      .sort(),
  ).toEqual(names);
});

test('one of three tunnels that is taken over ends alone, and reports it', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const ports = await three(scope);
  const words = ports.map((port, i) => `${'xyz'[i]}-1=${port}:tcp`);
  const cli = await startCli(scope, ['expose', ...words, '--json'], {env: relay.env});
  const {tcp} = await cli.event('ready', ({tunnel}) => tunnel === 'z-1');
  const visitor = await tcpVisitor(scope, tcp?.port ?? 0);
  await echo(visitor, 'in');
  const thief = await relay.expose(ports[1], {flags: ['--subdomain', 'y-1']});
  const error = await cli.event('error');
  expect(error).toMatchObject({tunnel: 'y-1', code: 'TAKEN_OVER'});
  await echo(visitor, 'still in');
  await thief.cli.stop('SIGINT');
  visitor.end();
  await once(visitor, 'end');
  expect(await cli.stop('SIGINT')).toMatchObject({code: 0});
  const closed = cli.events.flatMap((event) => (event.type === 'closed' ? [event.tunnel] : []));
  expect(closed.sort()).toEqual(['x-1', 'z-1']);
});

test('when one of several targets is refused, the command fails with the reason', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const [a, b] = await three(scope);
  const {code, cli} = await runCli(scope, ['expose', `${a}`, `-x=${b}`, '--json'], {env: relay.env});
  expect(code).toBe(2);
  expect(cli.error?.type).toBe('error');
  const long = await runCli(scope, ['expose', `${a}`, `${'n'.repeat(64)}=${b}`, '--json'], {env: relay.env});
  expect(long.cli.events.map(({type}) => type)).toEqual(['error']);
  expect(long.cli.error).toMatchObject({code: 'NAME_INVALID'});
  // Without a token each state folder is another owner.
  const open = await startRelayProcess(scope, {withToken: false});
  await open.expose(b, {flags: ['--subdomain', 'bazaar']});
  const taken = await runCli(scope, ['expose', `${a}`, `bazaar=${b}`, '--json'], {env: open.env});
  expect(taken.cli.error).toMatchObject({code: 'NAME_TAKEN'});
  expect(taken.cli.events.map(({type}) => type)).toEqual(['ready', 'closed', 'error']);
});

test.for([
  [['3000', '3000'], /Two targets have the name 3000/],
  [['3000', '3001', '--subdomain', 'demo'], /--subdomain is for one TARGET[\s\S]*Write NAME=TARGET/],
  [['3000', '3001', '--tcp', '--remote-port', '9000'], /--remote-port is for one TARGET/],
  [['x-1=3000', '--subdomain', 'demo'], /both set the name/],
  [['3000', '3001', '--', 'sleep', '9'], /more than one TARGET/],
] as const)('%s says what is wrong', async ([words, why], {scope}) => {
  const {code, stderr} = await runCli(scope, ['expose', ...words]);
  expect(code).toBe(2);
  expect(stderr).toMatch(why);
});

test('one target prints its address alone, also with a name and a suffix', async ({scope}) => {
  const port = await echoUpstream(scope);
  const cli = await startCli(scope, ['expose', `x-1=${port}:tcp`]);
  const line = await cli.line(() => true);
  expect(line).toMatch(/^localhost:\d+$/);
  await cli.stop('SIGINT');
});

test('a reserved name becomes the name of the tunnel, and not its address', async ({scope}) => {
  const [a, b] = await three(scope);
  const cli = await startCli(scope, ['expose', `${a}`, `api=${b}`]);
  const line = await cli.line((each) => each.startsWith('api\t'));
  expect(line).toMatch(/^api\thttps:\/\/localhost:\d+$/);
  await cli.stop('SIGINT');
});

test('--h2 applies to targets that visitors reach by TLS; `:tcp` is allowed beside it', async ({scope}) => {
  const [a, b] = await three(scope);
  const cli = await startCli(scope, ['expose', `${a}`, `${b}:tcp`, '--h2', '--json']);
  expect((await cli.event('ready', ({tunnel}) => tunnel === `${a}`)).h2).toBe(true);
  expect(await cli.event('ready', ({tunnel}) => tunnel === `${b}`)).toMatchObject({h2: false, tcp: {}});
  await cli.stop('SIGINT');
});

test('--qr shows no code for addresses of this machine, and one message', async ({scope}) => {
  const ports = await three(scope);
  const cli = await startCli(scope, ['expose', ...ports.map((port) => `${port}`), '--qr', '--plain']);
  await cli.line((line) => line.startsWith(`${ports[2]}\t`));
  await cli.saidOnStderr(/no QR code: the address works on this machine only/);
  await cli.stop('SIGINT');
  expect(cli.stderr.match(/no QR code/g)).toHaveLength(1);
});
