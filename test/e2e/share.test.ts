// `tunl share` while a private tunnel runs, in a terminal and in the background: links that are made, listed, used and withdrawn.

import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {Agent} from 'node:https';
import {expect} from 'vitest';
import {WebSocket} from 'ws';
import {runCli, startCli} from '../helpers/cli.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

test.for(['in a terminal', 'in the background'] as const)('%s', async (where, {scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope, 'hello');
  const stateDir = await scope.tempDir('state');
  const env = {...relay.env, TUNL_STATE_DIR: stateDir};
  const tunl = async (...args: string[]) => {
    const {stdout, code, cli} = await runCli(scope, [...args, '--json'], {stateDir, env});
    return {code, events: cli.events, stdout, error: cli.error};
  };
  const flags = where === 'in the background' ? ['--detach'] : [];
  const cli = await startCli(scope, ['expose', `demo=${upstream.port}`, '--private', '--json', ...flags], {
    stateDir,
    env,
  });
  const ready = await cli.event('ready');
  if (where === 'in the background') scope.onEnd(async () => void (await tunl('stop', '--all')));
  const url = ready.url ?? '';
  expect(ready.address).toBe(ready.link);
  expect(ready.link?.startsWith(`${url}/?tunl=`)).toBe(true);
  const statusOf = async (at: string) =>
    (await curl(scope, relay.caFile, ['-o', '/dev/null', '--write-out', '%{http_code}', at])).stdout;
  expect(await statusOf(`${url}/`)).toBe('401');
  expect(await statusOf(ready.link ?? '')).toBe('200');

  // A tunnel in a terminal is listed as one, because only so can it be named.
  const [listed] = (await tunl('list')).events;
  expect(listed).toMatchObject({type: 'tunnel', address: ready.link, state: 'running'});
  expect(listed !== undefined && 'foreground' in listed).toBe(where === 'in a terminal');
  // A script that ends what it started in the background does not reach into terminals.
  if (where === 'in a terminal') expect(await tunl('stop', '--all')).toMatchObject({code: 0, events: []});

  const {events: made} = await tunl('share', 'demo', '--expires', '1h', '--for', 'ana@example.com');
  const shared = made[0];
  if (shared?.type !== 'shared') throw new Error('no link was made');
  expect(shared).toMatchObject({tunnel: 'demo', visitor: 'ana@example.com', expiresAt: expect.any(String)});
  expect(await statusOf(shared.url)).toBe('200');
  expect(upstream.seen.at(-1)).toContain('Tunl-Visitor|ana@example.com');
  const once1 = (await tunl('share', 'demo', '--once')).events[0];
  if (once1?.type !== 'shared') throw new Error('no link was made');
  expect([await statusOf(once1.url), await statusOf(once1.url)]).toEqual(['200', '401']);
  const list = await tunl('share', 'list', 'demo');
  expect(list.events.map((event) => event.type === 'link' && [event.visitor, event.once])).toEqual([
    ['link', undefined],
    ['ana@example.com', undefined],
    [once1.link, 'used'],
  ]);

  // An open WebSocket of the link ends with it; that of another link goes on.
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const open = async (at: string) => {
    const socket = new WebSocket(at.replace(`https://${host}:${port}/`, `wss://127.0.0.1:${port}/echo`), {
      agent: new Agent({ca: await readFile(relay.caFile), servername: host}),
      headers: {host: `${host}:${port}`},
    });
    socket.on('error', () => {});
    scope.onEnd(() => socket.terminate());
    await once(socket, 'open');
    return socket;
  };
  const [hers, mine] = await Promise.all([open(shared.url), open(ready.link ?? '')]);
  const out = once(hers, 'close');
  const since = performance.now();
  const {events: revoked} = await tunl('share', 'revoke', shared.link);
  expect(revoked[0]).toMatchObject({type: 'revoked', link: shared.link, tunnel: 'demo'});
  await out;
  expect(performance.now() - since).toBeLessThan(5_000);
  expect(await statusOf(shared.url)).toBe('401');
  mine.send('still here');
  expect(String((await once(mine, 'message'))[0])).toBe('still here');

  expect((await tunl('share', 'revoke', shared.link)).error?.code).toBe('LINK_UNKNOWN');
  expect((await tunl('share', 'nobody')).error?.code).toBe('BACKGROUND_UNKNOWN');
  // No token is in what the upstream saw, and none of a shared link in the state folder or a log.
  const tokens = [ready.link, shared.url, once1.url].map((link) => link?.split('tunl=')[1] ?? '-');
  for (const token of tokens) expect(upstream.seen.join('\n')).not.toContain(token);
  if (listed?.type === 'tunnel' && where === 'in the background') {
    const log = await readFile(`${stateDir}/background/${listed.id}.log`, 'utf8');
    for (const token of tokens.slice(1)) expect(log).not.toContain(token);
  }
});

test('a tunnel that is not private has no links, and a TCP tunnel no gate for HTTP', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope);
  const stateDir = await scope.tempDir('state');
  const {code, cli} = await runCli(
    scope,
    ['expose', `a=${upstream.port}`, '5432:tcp', '--basic-auth', 'guest', '--json'],
    {env: {...relay.env, TUNL_BASIC_AUTH_PASSWORD: 'correct horse battery'}, stateDir},
  );
  expect([code, cli.error?.code]).toEqual([2, 'GATE_WITH_TCP']);
  const open = await relay.expose(upstream.port, {flags: ['--detach'], stateDir});
  scope.onEnd(async () => void (await runCli(scope, ['stop', '--all'], {stateDir, env: relay.env})));
  const {cli: shared} = await runCli(scope, ['share', open.ready.id ?? '', '--json'], {stateDir});
  expect([shared.error?.code, shared.error?.next]).toEqual([
    'NOT_PRIVATE',
    'Start the tunnel with --private.',
  ]);
});
