// `tunl add` and `tunl remove`: targets are added to and removed from a command that runs in the background. The other
// targets are not disturbed.

import {once} from 'node:events';
import {mkdir, writeFile} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import {type CliOptions, runCli, startCli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {fakeProgram, isAlive, until, withArgument} from '../helpers/launching.js';
import {type RelayProcessOptions, startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {boldVisitor, curl, tcpVisitor as openTcp} from '../helpers/visitors.js';
import {parseEvent} from '../project/event-schema.js';

/** Starts a relay, and `tunl` with a separate state folder; everything that was started is stopped at the end of the test. */
async function setUp(scope: Scope, options: RelayProcessOptions = {}) {
  const relay = await startRelayProcess(scope, options);
  const stateDir = await scope.tempDir('state');
  const env: Record<string, string> = {...relay.env};
  const tunl = async (words: readonly string[], more: CliOptions = {}) => {
    const {code, stdout, stderr} = await runCli(scope, words, {env, stateDir, ...more});
    return {code, stdout, stderr};
  };
  // A new scope, because this one is ending when the callback runs.
  scope.onEnd(async () => {
    await using end = new Scope();
    await runCli(end, ['stop', '--all', '-q'], {env, stateDir});
  });
  const list = async (...flags: string[]) => {
    const {stdout} = await tunl(['list', '--json', ...flags]);
    const events = stdout.split('\n').filter(Boolean).map(parseEvent);
    return events.filter((event) => event.type === 'tunnel');
  };
  /** `tunl expose … --detach`. */
  const begin = async (...words: string[]) => {
    const said = await tunl(['expose', ...words, '--detach', '-q']);
    expect(said, said.stderr).toMatchObject({code: 0, stderr: ''});
    const [listed] = (await list()).slice(-1);
    if (listed === undefined) throw new Error('not listed');
    return {...listed, lines: said.stdout.trimEnd().split('\n')};
  };
  /** The error of a command that fails. */
  const refused = async (...words: string[]) => {
    const {code, stdout} = await tunl([...words, '--json']);
    const event = parseEvent(stdout);
    if (event.type !== 'error') throw new Error(stdout);
    return {code, error: event.code, message: event.message};
  };
  const counts = async () => {
    const health = await curl(scope, relay.caFile, [`${relay.url}/healthz`]);
    const {agents, tunnels} = JSON.parse(health.stdout) as {agents: number; tunnels: number};
    return {agents, tunnels};
  };
  return {relay, env, stateDir, tunl, list, begin, refused, counts};
}

/** The port of a TCP tunnel's address, as printed on stdout. */
const portOf = (address: string) => Number(/:(\d+)\n?$/.exec(address)?.[1]);
const visit = async (scope: Scope, address: string) =>
  (await openTcp(scope, portOf(address))).on('error', () => {});

async function echo(visitor: Socket, text: string): Promise<void> {
  visitor.write(text);
  let heard = '';
  while (heard.length < text.length) heard += String((await once(visitor, 'data'))[0]);
  expect(heard).toBe(text);
}

test('several targets in the background: each has a line and is listed, and the log shows which is which', async ({
  scope,
}) => {
  const {tunl, begin, list, counts, stateDir} = await setUp(scope);
  const [a, b] = [await echoUpstream(scope), await echoUpstream(scope)];
  const {id, lines, tunnels = [], status} = await begin(`web-1=${a}:tcp`, `${b}:tcp`);
  expect(lines).toEqual(tunnels.map(({tunnel, address}) => `${tunnel}\t${address}`));
  expect(tunnels.map(({tunnel, upstream}) => [tunnel, upstream])).toEqual([
    ['web-1', `localhost:${a}`],
    [`${b}`, `localhost:${b}`],
  ]);
  expect(status).not.toHaveProperty('upstream');
  expect(await counts()).toEqual({agents: 1, tunnels: 4});
  const log = await startCli(scope, ['logs', id, '-f'], {stateDir});
  const visitor = await visit(scope, tunnels[1]?.address ?? '');
  await echo(visitor, 'to the second');
  await log.line((line) => line.includes(` ${b}: tcp  127.0.0.1:`));
  visitor.destroy();
  const {stdout, stderr} = await tunl(['list']);
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  for (const {address} of tunnels) expect(stderr).toContain(address);
  expect((await tunl(['stop', id])).code).toBe(0);
  const [ended] = await list('--all');
  expect(ended?.tunnels).toEqual(tunnels);
  expect(await tunl(['expose', `${a}`, '-x=80', '--detach', '--json'])).toMatchObject({code: 2});
});

test('targets are added and removed under load: visitors of the others are not disturbed', async ({
  scope,
}) => {
  const {tunl, begin, list, counts} = await setUp(scope);
  const {id, address} = await begin(`${await echoUpstream(scope)}:tcp`);
  const visitors = await Promise.all([1, 2, 3].map(() => visit(scope, address)));
  let ended = false;
  let bytes = 0;
  const piece = 'x'.repeat(20_000);
  // Each visitor sends until the end. If a visitor is disturbed, its promise never settles, or it rejects.
  const busy = visitors.map(async (visitor) => {
    for (let n = 0; !ended; n += 1) {
      await echo(visitor, `${n}${piece}`);
      bytes += piece.length;
    }
  });
  const targets = await Promise.all([1, 2, 3, 4].map(() => echoUpstream(scope)));
  for (let round = 1; round <= 3; round += 1) {
    const added = await Promise.all(targets.map((port) => tunl(['add', id, `${port}:tcp`, '-q'])));
    expect(added.map(({code, stderr}) => [code, stderr])).toEqual(targets.map(() => [0, '']));
    expect(await counts()).toEqual({agents: 1, tunnels: 10});
    for (const {stdout} of added) await echo(await visit(scope, stdout), `round ${round}`);
    const before = bytes;
    const removed = await Promise.all(
      targets.map((port) => tunl(['remove', id, `${port}`, '--drain-timeout', '0s'])),
    );
    expect(removed.map(({code}) => code)).toEqual(targets.map(() => 0));
    expect(await counts()).toEqual({agents: 1, tunnels: 2});
    await until(() => bytes > before);
  }
  ended = true;
  await Promise.all(busy);
  const [now] = await list();
  expect(now?.tunnels).toHaveLength(1);
  expect(now?.status).toMatchObject({link: 'up', visitors: {open: 3, total: 15}});
});

test('open visitors of a removed target may finish within the drain time; new visitors are reset', async ({
  scope,
}) => {
  const {tunl, begin, stateDir} = await setUp(scope);
  const [a, b] = [await echoUpstream(scope), await echoUpstream(scope)];
  const {id, tunnels = []} = await begin(`${a}:tcp`, `${b}:tcp`);
  const [first, second] = tunnels.map(({address}) => address) as [string, string];
  const [staying, leaving] = [await visit(scope, first), await visit(scope, second)];
  await echo(leaving, 'in');
  const removing = tunl(['remove', id, `${b}`, '--drain-timeout', '1h', '--json']);
  const log = await startCli(scope, ['logs', id, '-f'], {stateDir});
  await log.line((line) => line.includes(`${b}: closing: 1 open connection may finish within 60 min`));
  await echo(leaving, 'still in');
  const late = boldVisitor(scope, portOf(second));
  const refused = new Promise((resolve) => late.once('close', resolve).on('error', () => {}));
  await refused;
  leaving.end();
  await once(leaving, 'end');
  expect(parseEvent((await removing).stdout)).toEqual({
    type: 'removed',
    id,
    tunnel: `${b}`,
    address: second,
  });
  await log.line((line) => line === `${b}: closed after 1 connection`);
  // Visitors that are open after the drain time are reset.
  const again = await tunl(['add', id, `${b}:tcp`]);
  expect(again.stdout.trim()).toBe(second);
  const cut = await visit(scope, second);
  await echo(cut, 'in again');
  const closed = new Promise((resolve) => cut.once('close', resolve));
  expect((await tunl(['remove', id, `${b}`, '--drain-timeout', '0s'])).code).toBe(0);
  await closed;
  await echo(staying, 'here all the time');
});

test('the first target of a command can be removed like any other; the last one cannot', async ({scope}) => {
  const {tunl, begin, list, refused} = await setUp(scope);
  const {id} = await begin(`${await echoUpstream(scope)}`);
  const folder = await scope.tempDir('site');
  await mkdir(join(folder, 'dist'));
  await writeFile(join(folder, 'dist', 'index.html'), 'from the folder');
  // A path is relative to the folder in which `tunl add` runs.
  const added = await tunl(['add', id, 'site-1=./dist'], {cwd: folder});
  expect(added, added.stderr).toMatchObject({code: 0});
  expect(added.stderr).toContain(`tunl remove ${id} site-1`);
  expect(added.stderr).not.toContain('nothing answers');
  const [before] = await list();
  expect(before?.tunnels?.map(({tunnel}) => tunnel)[1]).toBe('site-1');
  expect(await tunl(['remove', id, before?.tunnels?.[0]?.tunnel ?? ''])).toMatchObject({code: 0, stdout: ''});
  const [after] = await list();
  expect(after).toMatchObject({address: added.stdout.trim(), tunnels: [{tunnel: 'site-1'}]});
  expect(await refused('remove', id, 'site-1')).toMatchObject({code: 2, error: 'BACKGROUND_KEPT'});
  const {stdout} = await tunl(['logs', id]);
  expect(stdout).toContain(`site-1\t${added.stdout.trim()}`);
  expect(stdout).toMatch(/^\d+ is removed$/m);
});

test('a refused request has a code and a reason, and the command is unchanged', async ({scope}) => {
  const {relay, tunl, begin, list, refused} = await setUp(scope, {withToken: false});
  const [a, b] = [await echoUpstream(scope), await echoUpstream(scope)];
  const {id} = await begin(`${a}`);
  await relay.expose(b, {flags: ['--subdomain', 'theirs']});
  for (const [words, code, error] of [
    [['add', 'abcdef', `${b}`], 2, 'BACKGROUND_UNKNOWN'],
    [['remove', 'abcdef', `${a}`], 2, 'BACKGROUND_UNKNOWN'],
    [['add', id, `${a}`], 2, 'BACKGROUND_NAME_USED'],
    [['add', id, `other-1=${a}`], 2, 'PORT_FORWARDED_TWICE'],
    [['add', id, `theirs=${b}`], 5, 'NAME_TAKEN'],
    [['add', id, `${'n'.repeat(64)}=${b}`], 2, 'NAME_INVALID'],
    [['add', id, '70000'], 2, 'PORT_RANGE'],
    [['add', id, './no-such-folder'], 8, 'FOLDER_MISSING'],
    [['add', id], 2, 'USAGE'],
    [['add', id, `${b}`, '9'], 2, 'USAGE'],
    [['remove', id], 2, 'USAGE'],
    [['remove', id, 'nobody'], 2, 'BACKGROUND_NAME_UNKNOWN'],
    [['remove', id, `${a}`], 2, 'BACKGROUND_KEPT'],
  ] as const)
    expect(await refused(...words), words.join(' ')).toMatchObject({code, error});
  const {stderr} = await tunl(['remove', id, 'nobody']);
  expect(stderr).toContain(`No tunnel has the name nobody, only ${a}.`);
  const silent = await unusedPort();
  expect((await tunl(['add', id, `${silent}`])).stderr).toContain(
    `nothing answers on localhost:${silent} yet`,
  );
  const [now] = await list();
  expect(now?.tunnels?.map(({tunnel}) => tunnel)).toEqual([`${a}`, `${silent}`]);
  // A relay in the background has no targets.
  const other = await tunl(['relay', 'start', '--detach', '--json', '--listen', '127.0.0.1:0']);
  const listening = parseEvent(other.stdout);
  if (listening.type !== 'listening') throw new Error(other.stdout);
  expect(await refused('add', listening.id ?? '', '80')).toMatchObject({code: 8, error: 'BACKGROUND_SILENT'});
});

test('a client that disconnects while the link is down gets no tunnel', async ({scope}) => {
  const {relay, env, stateDir, tunl, begin, list, refused} = await setUp(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  env.TUNL_RELAY = `https://${relay.domain}:${proxy.port}`;
  const {id} = await begin(`${await echoUpstream(scope)}`);
  await proxy.refuse();
  proxy.reset();
  await until(async () => (await list())[0]?.status?.link === 'away');
  const name = `${await echoUpstream(scope)}`;
  // The same request as `tunl add` sends; then the client disconnects.
  const client = connect(join(stateDir, 'background', `${id}.sock`));
  client.write(`${JSON.stringify({do: 'add', name, target: name, tcp: false})}\n`);
  expect(await refused('add', id, name)).toMatchObject({error: 'BACKGROUND_NAME_USED'});
  client.destroy();
  await proxy.accept();
  await until(async () => (await list())[0]?.status?.link === 'up');
  expect((await list())[0]?.tunnels).toHaveLength(1);
  const added = await tunl(['add', id, name, '-q']);
  expect(added, added.stderr).toMatchObject({code: 0});
});

test('a command with a program: targets can be added and removed, and all tunnels end with the program', async ({
  scope,
}) => {
  const {tunl, list, refused} = await setUp(scope);
  const fake = await fakeProgram(
    scope,
    `await listen(Number(process.env.PORT)); process.on('SIGUSR1', () => process.exit(7));`,
  );
  const started = await tunl(['expose', '--detach', '-q', '--', process.execPath, fake, '{port}']);
  expect(started, started.stderr).toMatchObject({code: 0});
  const [{id, tunnels = [], pid}] = (await list()) as [NonNullable<Awaited<ReturnType<typeof list>>[0]>];
  expect(tunnels.map(({tunnel}) => tunnel)).toEqual(['command']);
  const added = await tunl(['add', id, `${await echoUpstream(scope)}:tcp`, '-q']);
  expect(added, added.stderr).toMatchObject({code: 0});
  await echo(await visit(scope, added.stdout), 'beside the program');
  expect(await refused('remove', id, 'command')).toMatchObject({error: 'BACKGROUND_KEPT'});
  for (const program of withArgument(fake)) process.kill(program, 'SIGUSR1');
  await until(() => !isAlive(pid));
  const [ended] = await list('--all');
  expect(ended?.end).toMatchObject({why: 'exited', exitCode: 7});
});
