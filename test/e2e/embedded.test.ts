// `tunl expose PORT` without a relay: a relay inside the same process, and everything that scripts and users rely on.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import type {ReadyEvent} from '../../src/lib/agent/events.js';
import {Child, cleanEnv, run} from '../helpers/child.js';
import {type Cli, entry, expose, runCli, startCli} from '../helpers/cli.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {otherUser} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';
import {httpUpstream, record, recordingUpstream, replyAfterEndUpstream} from '../helpers/upstreams.js';
import {boldVisitor, curl, tcpVisitor} from '../helpers/visitors.js';

test('the address is the only line on stdout, and works', async ({scope}) => {
  const upstream = await httpUpstream(scope, 'embedded');
  const cli = await startCli(scope, ['expose', String(upstream.port)]);
  const address = await cli.line();
  expect(address).toMatch(/^https:\/\/localhost:\d+$/);
  // stderr says that the address works on this machine only, and how to try it.
  const [, caFile = ''] = await cli.saidOnStderr(/curl --cacert (\S+) https/);
  await cli.saidOnStderr(/this machine only/);
  expect(await curl(scope, caFile, [`${address}/`])).toMatchObject({code: 0, stdout: 'embedded'});
  expect(await cli.stop()).toEqual({code: 0, signal: null});
  expect(cli.stdout).toBe(`${address}\n`);
});

test('--tcp prints localhost:PORT', async ({scope}) => {
  const cli = await startCli(scope, ['expose', String(await replyAfterEndUpstream(scope)), '--tcp']);
  const address = await cli.line();
  const [, port] = /^localhost:(\d+)$/.exec(address) ?? [];
  const visitor = record(await tcpVisitor(scope, Number(port)));
  visitor.socket.end('x');
  await visitor.ended;
  expect(visitor.data().length).toBe(65);
  expect((await cli.stop('SIGINT')).code).toBe(0);
});

test('the same name again after a restart, a new one with --new-name', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const {port} = await httpUpstream(scope);
  const addresses = async (...flags: string[]) => {
    const {cli, ready} = await expose(scope, port, {flags, stateDir});
    await cli.stop();
    return {url: ready.url, name: ready.nameUrl};
  };
  const first = await addresses();
  expect(first.name).toMatch(/^https:\/\/[a-z2-7]{26}\.tunl\.localhost:\d+$/);
  // With their ports, so that a bookmark works again.
  expect(await addresses()).toEqual(first);
  expect((await addresses('--new-name')).name).not.toBe(first.name);
});

test('a name and a port are remembered separately', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const {port} = await httpUpstream(scope);
  const ready = async (...flags: string[]) => {
    const {cli, ready} = await expose(scope, port, {flags, stateDir});
    await cli.stop();
    return ready;
  };
  const first = await ready('--tcp');
  const demo = await ready('--subdomain', 'Demo');
  expect(demo.nameUrl).toMatch(/^https:\/\/demo\.tunl\.localhost:/);
  expect((await ready()).nameUrl).toBe(first.nameUrl);
  const again = await ready('--tcp');
  expect([again.nameUrl, again.tcp]).toEqual([first.nameUrl, first.tcp]);
});

test('two runs at the same time have different ports, and the next single run has the first ones again', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('state');
  const {port} = await httpUpstream(scope, 'embedded');
  const one = await expose(scope, port, {stateDir});
  const two = await expose(scope, port, {stateDir});
  expect(two.ready.url).not.toBe(one.ready.url);
  expect(two.ready.nameUrl).not.toBe(one.ready.nameUrl);
  for (const {ready} of [one, two])
    expect(await curl(scope, ready.relay.caFile ?? '', [`${ready.url}/`])).toMatchObject({
      stdout: 'embedded',
    });
  await one.cli.stop();
  await two.cli.stop();
  const three = await expose(scope, port, {stateDir});
  expect([three.ready.url, three.ready.nameUrl]).toEqual([one.ready.url, one.ready.nameUrl]);
});

test('at a local port only its tunnel answers', async ({scope}) => {
  const one = await httpUpstream(scope, 'one');
  const two = await httpUpstream(scope, 'two');
  const {cli, ready} = await startGroup(scope, [one.port, two.port]);
  const [first, second] = ready;
  const caFile = first?.relay.caFile ?? '';
  expect(await curl(scope, caFile, [`${first?.url}/`])).toMatchObject({stdout: 'one'});
  expect(await curl(scope, caFile, [`${second?.url}/`])).toMatchObject({stdout: 'two'});
  const {port} = new URL(first?.url ?? '');
  const other = new URL(second?.nameUrl ?? '').hostname;
  for (const name of [other, 'tunl.localhost', 'www.example.com']) {
    const strange = [`https://${name}:${port}/`, '--connect-to', `::127.0.0.1:${port}`];
    expect((await curl(scope, caFile, strange)).stdout).toBe('');
  }
  await cli.stop();
});

test('the local port of a folder or a Unix socket is for its own user and root', async ({scope}) => {
  const folder = await scope.tempDir('site');
  await writeFile(join(folder, 'index.html'), 'from the folder');
  const user = await otherUser(scope);
  const stateDir = await scope.tempDir('state');
  const {ready} = await expose(scope, `${folder}/`, {stateDir});
  expect(ready.url).toMatch(/^https:\/\/localhost:/);
  const ask = ['curl', '-sS', '--insecure', `${ready.url}/`];
  expect(await run(scope, 'curl', ask.slice(1))).toMatchObject({code: 0, stdout: 'from the folder'});
  const [setpriv = '', ...as] = user.as;
  const other = await run(scope, setpriv, [...as, ...ask]);
  expect(other).toMatchObject({stdout: ''});
  expect(other.code).not.toBe(0);
  // Another user can have the port of a service on localhost anyway.
  const {port} = await httpUpstream(scope, 'from the port');
  const open = await expose(scope, port, {stateDir});
  const seen = await run(scope, setpriv, [...as, ...ask.slice(0, -1), `${open.ready.url}/`]);
  expect(seen).toMatchObject({code: 0, stdout: 'from the port'});
});

test('-q prints nothing on stderr, --json only events on stdout', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  const quiet = await startCli(scope, ['expose', String(port), '-q']);
  await quiet.line();
  await quiet.stop();
  expect(quiet.stderr).toBe('');
  const json = await startCli(scope, ['expose', String(port), '--json']);
  const ready = await json.event('ready');
  expect(ready.relay.embedded).toBe(true);
  const got = await curl(scope, ready.relay.caFile ?? '', [`${ready.url}/`]);
  expect(got.code).toBe(0);
  expect(await json.event('connection', (event) => event.state === 'closed')).toMatchObject({via: 'tls'});
  await json.stop();
  // The end was requested, so there is no `reconnecting`.
  expect(json.events.map(({type}) => type)).toEqual(['ready', 'connection', 'connection', 'closed']);
  expect(json.events.at(-1)).toMatchObject({connections: 1});
  expect(json.stderr).toBe('');
});

test('a reader that closes stdout ends the command quietly', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  const stateDir = await scope.tempDir('state');
  const piped = Child.start(
    scope,
    'bash',
    ['-c', `set -o pipefail; "$0" "$1" expose ${port} --json | head -1`, process.execPath, entry],
    {env: {...cleanEnv(), TUNL_STATE_DIR: stateDir}},
  );
  const ready = JSON.parse(await piped.line()) as ReadyEvent;
  // Nobody reads the next event.
  await curl(scope, ready.relay.caFile ?? '', [`${ready.url}/`]);
  const {code, stderr} = await piped.finished();
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
});

test('the first SIGINT lets an open connection finish, the second leaves at once', async ({scope}) => {
  const upstream = await recordingUpstream(scope);
  const start = async () => {
    const cli = await startCli(scope, [
      'expose',
      String(upstream.port),
      '--tcp',
      '--json',
      '--drain-timeout',
      '60s',
    ]);
    const ready = await cli.event('ready');
    const index = upstream.recorded.length;
    const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
    visitor.socket.write('open');
    const connection = await upstream.connection(index);
    await connection.received(4);
    cli.signal('SIGINT');
    expect(await cli.event('draining')).toMatchObject({connections: 1, timeoutMs: 60_000});
    return {cli, visitor, connection};
  };
  const one = await start();
  one.connection.socket.end('last words');
  await one.visitor.ended;
  expect(one.visitor.data().toString()).toBe('last words');
  one.visitor.socket.end();
  expect(await one.cli.exited).toEqual({code: 0, signal: null});

  const two = await start();
  // Two signals within 300 ms count as one key press that npx passed on as well.
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect((await two.cli.stop('SIGINT')).code).toBe(130);
});

test('an upstream that refuses: the visitor is reset, and stderr has one message', async ({scope}) => {
  const closed = await unusedPort();
  const cli = await startCli(scope, ['expose', String(closed), '--tcp']);
  const [, publicPort] = (await cli.line()).split(':');
  for (let i = 0; i < 3; i++) {
    const visitor = record(boldVisitor(scope, Number(publicPort)));
    visitor.socket.write('hello');
    expect(await visitor.closed).toBe('ECONNRESET');
  }
  await cli.saidOnStderr(new RegExp(`:${closed}\\b`));
  expect(cli.stderr).not.toMatch(/\n\s+at /);
  await cli.stop();
});

test('no secret is in argv; help and version work', async ({scope}) => {
  const version = await runCli(scope, ['--version']);
  expect(version).toMatchObject({code: 0, stderr: ''});
  expect(version.stdout).toMatch(/^tunl\/\d+\.\d+\.\d+ /);
  const help = await runCli(scope, ['expose', '--help']);
  expect(help.code).toBe(0);
  expect(help.stdout).not.toMatch(/--token[ =]/);
});

/** `tunl expose` with these ports, and their `ready` events in the same order. */
async function startGroup(scope: Scope, ports: readonly number[]): Promise<{cli: Cli; ready: ReadyEvent[]}> {
  const cli = await startCli(scope, ['expose', ...ports.map(String), '--json']);
  const ready = await Promise.all(
    ports.map((port) => cli.event('ready', ({upstream}) => upstream === `localhost:${port}`)),
  );
  return {cli, ready};
}
