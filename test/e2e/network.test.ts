// Private networks with real programs: curl and redis-cli through ports of members, by each way; links that are cut; a public
// tunnel in front of a member.

import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {MiB, pieces} from '../helpers/bytes.js';
import {Child, run} from '../helpers/child.js';
import {type Cli, runCli, startCli} from '../helpers/cli.js';
import {eventually} from '../helpers/eventually.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const BYTES = 100 * MiB;

const all = new Scope();
let relay: RelayProcess;
/** The port of a web server with a large file, and the file's hash. */
let web: number;
let hash: string;

beforeAll(async () => {
  relay = await startRelayProcess(all);
  const folder = await all.tempDir('web');
  await writeFile(join(folder, 'large'), pieces(BYTES));
  await writeFile(join(folder, 'index.html'), 'the page of a member\n');
  const digest = createHash('sha256');
  await pipeline(createReadStream(join(folder, 'large')), digest);
  hash = digest.digest('hex');
  web = await unusedPort();
  const server = all.own(
    new Child('python3', ['-u', '-m', 'http.server', String(web), '--bind', '127.0.0.1', '-d', folder], {
      stopSignal: 'SIGINT',
    }),
  );
  await server.line((line) => line.startsWith('Serving HTTP'));
});

afterAll(async () => await all[Symbol.asyncDispose]());

/** Members that share this folder find each other without the relay. */
async function machine(scope: Scope): Promise<Record<string, string>> {
  return {TMPDIR: await scope.tempDir('machine')};
}

async function start(scope: Scope, words: readonly string[], env: Record<string, string> = {}): Promise<Cli> {
  return await startCli(scope, [...words, '--json'], {env: {...relay.env, ...env}});
}

/** `curl` of the large file: the hash of what came. */
async function download(scope: Scope, address: string): Promise<string> {
  const {stdout, code} = await run(scope, 'sh', [
    '-c',
    'curl -sS --fail "$1" | sha256sum',
    'sh',
    `http://${address}/large`,
  ]);
  expect(code).toBe(0);
  return stdout.slice(0, 64);
}

describe.each([
  {path: 'machine', apart: false, flags: []},
  {path: 'direct', apart: true, flags: ['--direct']},
  {path: 'relay', apart: true, flags: []},
] as const)('by $path', ({path, apart, flags}) => {
  test('a file of 100 MB arrives as it was, and the list shows the way', async ({scope}) => {
    const here = await machine(scope);
    const there = apart ? await machine(scope) : here;
    const member = await start(
      scope,
      ['net', 'serve', 'lab', '--name', `by-${path}`, `8000:${web}`, ...flags],
      there,
    );
    const {address} = await member.event('network');
    const port = await start(scope, ['net', 'forward', 'lab', `by-${path}:8000`], here);
    const {address: local} = await port.event('member-port');
    expect(await download(scope, local)).toBe(hash);
    const list = await runCli(scope, ['net', 'list', 'lab', '--json'], {env: {...relay.env, ...here}});
    expect(list.cli.events).toContainEqual(
      expect.objectContaining({
        type: 'member',
        state: 'listed',
        name: `by-${path}`,
        address,
        accepts: true,
        path,
      }),
    );
  });
});

test('cut links on both sides, in the middle: nothing is lost', async ({scope}) => {
  const proxies = await Promise.all([0, 1].map(() => FaultProxy.start(scope, {target: {port: relay.port}})));
  const [near, far] = proxies.map((proxy) => ({TUNL_RELAY: `https://${relay.domain}:${proxy.port}`}));
  const member = await start(scope, ['net', 'serve', 'lab', '--name', 'cut', `8000:${web}`], {
    ...(await machine(scope)),
    ...far,
  });
  await member.event('network');
  const port = await start(scope, ['net', 'forward', 'lab', 'cut:8000'], {
    ...(await machine(scope)),
    ...near,
  });
  const {address} = await port.event('member-port');
  const arriving = download(scope, address);
  for (const [at, {proxy, cli}] of [
    {proxy: proxies[0], cli: port},
    {proxy: proxies[1], cli: member},
  ].entries()) {
    await proxy?.passed(at === 0 ? 'down' : 'up', (at + 1) * 20 * MiB);
    await proxy?.refuse();
    proxy?.reset();
    await cli.event('reconnecting', ({attempt}) => attempt >= 2);
    await proxy?.accept();
    await cli.event('resumed');
  }
  expect(await arriving).toBe(hash);
});

test('a relay that is killed and starts again: a connection through it goes on', async ({scope}) => {
  const port = await unusedPort();
  const options = {listen: `127.0.0.1:${port}`, stateDir: await scope.tempDir('relay'), token: relay.token};
  const first = await startRelayProcess(scope, options);
  const env = async () => ({...first.env, ...(await machine(scope))});
  const member = await start(scope, ['net', 'serve', 'lab', '--name', 'stays', `8000:${web}`], await env());
  await member.event('network');
  const proxy = await FaultProxy.start(scope, {target: {port}});
  const forward = await start(scope, ['net', 'forward', 'lab', 'stays:8000'], {
    ...(await env()),
    TUNL_RELAY: `https://${first.domain}:${proxy.port}`,
  });
  const {address} = await forward.event('member-port');
  const arriving = run(scope, 'sh', [
    '-c',
    'curl -sS --fail --limit-rate 40M "$1" | sha256sum',
    'sh',
    `http://${address}/large`,
  ]);
  await proxy.passed('down', 10 * MiB);
  first.cli.signal('SIGKILL');
  await first.cli.exited;
  await Promise.all([forward.event('reconnecting'), member.event('reconnecting')]);
  await startRelayProcess(scope, options);
  expect((await arriving).stdout.slice(0, 64)).toBe(hash);
});

test('redis, and a member that comes, goes and comes again with its address', async ({scope}) => {
  const redisPort = await unusedPort();
  const redis = scope.own(
    new Child('redis-server', ['--port', String(redisPort), '--save', '', '--bind', '127.0.0.1']),
  );
  await redis.line((line) => line.includes('Ready to accept connections'));
  const stateDir = await scope.tempDir('redis-member');
  const env = {...relay.env, ...(await machine(scope))};
  const words = ['net', 'serve', 'lab', '--name', 'redis', `6379:${redisPort}`, '--json'];
  const first = await startCli(scope, words, {env, stateDir});
  const {address} = await first.event('network');
  const port = await start(scope, ['net', 'forward', 'lab', 'redis:6379'], await machine(scope));
  const local = (await port.event('member-port')).address.split(':')[1] ?? '';
  const cli = (...args: string[]) => run(scope, 'redis-cli', ['-p', local, ...args]);
  expect((await cli('SET', 'a', 'b')).stdout).toBe('OK\n');
  expect((await cli('GET', 'a')).stdout).toBe('b\n');
  await first.stop();
  await port.event('member', ({state, name}) => state === 'gone' && name === 'redis');
  expect((await cli('GET', 'a')).code).not.toBe(0);
  expect(await port.event('member-failed')).toMatchObject({to: 'redis:6379', code: 'MEMBER_UNKNOWN'});
  const again = await startCli(scope, words, {env, stateDir});
  expect((await again.event('network')).address).toBe(address);
  await port.event('member', ({state, name}) => state === 'came' && name === 'redis');
  expect((await cli('GET', 'a')).stdout).toBe('b\n');
});

test('a public tunnel in front of a member, also a private one', async ({scope}) => {
  const member = await start(
    scope,
    ['net', 'serve', 'lab', '--name', 'page', `8000:${web}`],
    await machine(scope),
  );
  await member.event('network');
  const curl = (url: string, ...more: string[]) =>
    run(scope, 'curl', ['-sS', '--cacert', relay.caFile, ...more, url]);
  const open = await start(scope, ['expose', '--net', 'lab', 'page:8000'], await machine(scope));
  const {address} = await open.event('ready');
  expect((await curl(address)).stdout).toBe('the page of a member\n');
  const stateDir = await scope.tempDir('state');
  const gated = await startCli(scope, ['expose', '--net', 'lab', 'page:8000', '--private', '--json'], {
    env: {...relay.env, ...(await machine(scope))},
    stateDir,
  });
  const {url = '', link = ''} = await gated.event('ready');
  // A further target would be looked for on this machine, not in the network.
  const id = await eventually(async () => {
    const {stdout} = await runCli(scope, ['list', '--json'], {stateDir});
    return String(JSON.parse(stdout).id);
  });
  const added = await runCli(scope, ['add', id, '9000', '--json'], {stateDir});
  expect(JSON.parse(added.stdout)).toMatchObject({code: 'USAGE'});
  expect((await curl(url, '-o', '/dev/null', '-w', '%{http_code}')).stdout).toBe('401');
  expect((await curl(link, '-L', '-c', '/dev/null', '-b', '')).stdout).toBe('the page of a member\n');
});

test('connections that are not allowed, and input that is none', async ({scope}) => {
  const words = [
    'net',
    'serve',
    'lab',
    '--name',
    'closed',
    `8000:${web}`,
    `9000:${web}`,
    '--allow-in',
    '9000',
  ];
  const member = await start(scope, words, await machine(scope));
  await member.event('network');
  const failure = async (to: string) => {
    const port = await start(scope, ['net', 'forward', 'lab', to], await machine(scope));
    const {address} = await port.event('member-port');
    expect((await run(scope, 'curl', ['-sS', `http://${address}/`])).code).not.toBe(0);
    const {code} = await port.event('member-failed');
    // Typing errors are told before the first connection.
    return [code, port.events.flatMap((event) => (event.type === 'notice' ? [event.code] : []))];
  };
  expect(await failure('closed:8000')).toEqual(['NOT_ALLOWED', []]);
  expect(await failure('nobody:8000')).toEqual(['MEMBER_UNKNOWN', ['MEMBER_UNKNOWN']]);
  const ends = async (...given: string[]) => {
    const {code, cli} = await runCli(scope, [...given, '--json'], {env: relay.env});
    return [code, cli.error?.code];
  };
  expect(await ends('net', 'serve', 'lab', '--name', 'closed', '8000')).toEqual([5, 'MEMBER_NAME_USED']);
  expect(await ends('net', 'serve', 'Lab!', '--name', 'a', '8000')).toEqual([2, 'NETWORK_INVALID']);
  expect(await ends('net', 'serve', 'lab', '--name', '../a', '8000')).toEqual([2, 'NETWORK_INVALID']);
  expect(await ends('net', 'serve', 'lab', '8000')).toEqual([2, 'USAGE']);
  expect(await ends('net', 'serve', 'lab', '--name', 'a', 'x')).toEqual([2, 'TARGET_INVALID']);
  expect(await ends('net', 'forward', 'lab', 'trainer')).toEqual([2, 'TARGET_INVALID']);
  const {code, cli} = await runCli(scope, ['net', 'list', 'lab', '--json']);
  expect([code, cli.error?.code]).toEqual([2, 'RELAY_NEEDED']);
});
