// `tunl egress list`, `listen` and `forward` as commands: their output for scripts and people, mistakes, and their end; and the
// library's `egress`, as docs/egress.md shows it.

import {readFile} from 'node:fs/promises';
import {createServer as createHttpServer} from 'node:http';
import {type AddressInfo, createServer} from 'node:net';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {egress} from '../../src/lib/egress/egress.js';
import {Child, run} from '../helpers/child.js';
import {entry, runCli, startCli} from '../helpers/cli.js';
import {runExample} from '../helpers/page-example.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const scope = new Scope();
let relay: RelayProcess;
let web: number;

beforeAll(async () => {
  const sets = ['--egress', 'my-proxy=127.0.0.2,127.0.0.3', '--egress', 'db=127.0.0.9'];
  relay = await startRelayProcess(scope, {flags: [...sets, '--egress-allow-private', '127.0.0.1/32']});
  const server = createHttpServer((request, response) => response.end(`${request.socket.remoteAddress}\n`));
  server.listen(0, '127.0.0.1');
  scope.onEnd(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  web = (server.address() as AddressInfo).port;
});

afterAll(async () => await scope[Symbol.asyncDispose]());

const curl = async (...args: string[]) =>
  (await run(scope, 'curl', ['-sS', '--max-time', '20', ...args], {})).stdout.trim();

test('list: rows for scripts, and one event for each', async ({scope: own}) => {
  const text = await runCli(own, ['egress', 'list'], {env: relay.env});
  expect(text).toMatchObject({code: 0, stdout: 'my-proxy  127.0.0.2, 127.0.0.3\ndb  127.0.0.9\n'});
  const json = await runCli(own, ['egress', 'list', '--json'], {env: relay.env});
  expect(json.cli.events).toEqual([
    {
      type: 'egress-set',
      name: 'my-proxy',
      addresses: [
        {address: '127.0.0.2', healthy: true},
        {address: '127.0.0.3', healthy: true},
      ],
    },
    {type: 'egress-set', name: 'db', addresses: [{address: '127.0.0.9', healthy: true}]},
  ]);
});

test('listen: a URL for scripts, with a password that is nowhere else; Ctrl+C ends it with 0', async ({
  scope: own,
}) => {
  const cli = await startCli(own, ['egress', 'listen', '--via', 'db'], {env: relay.env});
  const url = await cli.line();
  expect(url).toMatch(/^http:\/\/tunl:[0-9a-f]{32}@127\.0\.0\.1:\d+$/);
  expect(await curl('--proxy', url, `http://127.0.0.1:${web}/`)).toBe('127.0.0.9');
  expect(await curl('--proxy', url, 'http://10.0.0.1/')).toMatch(/^tunl: .*\(EGRESS_FORBIDDEN\)$/);
  await cli.saidOnStderr(/10\.0\.0\.1:80: .* not a public one/);
  const password = new URL(url).password;
  expect(await readFile(`/proc/${cli.pid}/cmdline`, 'utf8')).not.toContain(password);
  cli.signal('SIGINT');
  const ended = await cli.finished();
  expect(ended).toMatchObject({code: 0, stdout: `${url}\n`});
  expect(ended.stderr).not.toContain(password);
  expect(ended.stderr).toMatch(/^proxy for HTTP and SOCKS 5, by db \(127\.0\.0\.9\)$/m);
  expect(ended.stderr).toMatch(/^closed after 2 connections$/m);
});

test('listen --json: facts, failures, and the end', async ({scope: own}) => {
  const args = ['egress', 'listen', '--via', 'db', '--no-auth', '--listen', '0', '--json', '--env'];
  const cli = await startCli(own, args, {env: relay.env});
  const {url, env, ...proxy} = await cli.event('proxy');
  expect(proxy).toEqual({
    type: 'proxy',
    egress: 'db',
    addresses: ['127.0.0.9'],
    relay: relay.url,
    address: {host: '127.0.0.1', port: Number(new URL(url).port)},
  });
  expect(env).toMatchObject({HTTPS_PROXY: url, https_proxy: url, NO_PROXY: 'localhost,127.0.0.1,::1'});
  const closed = `127.0.0.1:${await unusedPort()}`;
  await curl('--proxy', url, `http://${closed}/`);
  expect(await cli.event('egress-failed')).toMatchObject({
    destination: closed,
    code: 'EGRESS_UNREACHABLE',
  });
  cli.signal('SIGTERM');
  expect(await cli.finished()).toMatchObject({code: 0});
  expect(cli.events.at(-1)).toEqual({type: 'closed', connections: 1});
});

test('listen --env: a shell reads the line to its end while the proxy runs', async ({scope: own}) => {
  const script = [
    `source <(exec '${process.execPath}' '${entry}' egress listen --via db --env)`,
    'pid=$!',
    `env -u no_proxy -u NO_PROXY curl -sS http://127.0.0.1:${web}/`,
    'echo "$HTTPS_PROXY"; kill -INT $pid',
  ].join('\n');
  const shell = Child.start(own, 'bash', ['-c', script], {
    env: {...relay.env, TUNL_STATE_DIR: await own.tempDir('state')},
  });
  const {stdout, stderr} = await shell.finished();
  expect(stdout).toMatch(/^127\.0\.0\.9\nhttp:\/\/tunl:[0-9a-f]{32}@127\.0\.0\.1:\d+\n$/);
  expect(stderr).toMatch(/^closed after 1 connection$/m);
});

test('forward: a port for each destination, in their order', async ({scope: own}) => {
  const local = await unusedPort();
  const to = `127.0.0.1:${web}`;
  const args = ['egress', 'forward', '--via', 'my-proxy', `${local}:${to}`, to];
  const cli = await startCli(own, args, {env: relay.env});
  await cli.line((line) => line !== `127.0.0.1:${local}`);
  const [first = '', second = ''] = cli.lines;
  expect(first).toBe(`127.0.0.1:${local}`);
  const [one, two] = await Promise.all([curl(`http://${first}/`), curl(`http://${second}/`)]);
  expect(['127.0.0.2', '127.0.0.3']).toContain(one);
  // One destination sees one address.
  expect(two).toBe(one);
  cli.signal('SIGINT');
  expect(await cli.finished()).toMatchObject({code: 0, stdout: `${first}\n${second}\n`});
});

describe('mistakes', () => {
  test.each([
    ['no relay', ['list'], {TUNL_RELAY: ''}, 'RELAY_URL_INVALID', 2],
    ['no egress is named', ['listen'], {}, 'USAGE', 2],
    ['another name', ['listen', '--via', 'nope'], {}, 'EGRESS_UNKNOWN', 5],
    ['no name at all', ['forward', '--via', 'No Name', 'a:1'], {}, 'EGRESS_UNKNOWN', 5],
    ['no destination', ['forward', '--via', 'db'], {}, 'USAGE', 2],
    ['a destination without a port', ['forward', '--via', 'db', 'db.corp'], {}, 'TARGET_INVALID', 2],
    ['a port in use', ['listen', '--via', 'db', '--listen', 'used'], {}, 'LISTEN_IN_USE', 8],
    ['a port in use', ['forward', '--via', 'db', 'used:a:1'], {}, 'LISTEN_IN_USE', 8],
    ['a wrong token', ['list'], {TUNL_TOKEN: 'wrong-token-of-16-characters'}, 'TOKEN_WRONG', 4],
  ])('%s', async (_name, words, env, code, exitCode) => {
    const used = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => used.once('listening', resolve));
    const {port} = used.address() as AddressInfo;
    await using own = new Scope();
    const args = words.map((word) =>
      word.replace(/^used:/, `${port}:`).replace(/^used$/, `127.0.0.1:${port}`),
    );
    const ended = await runCli(own, ['egress', ...args, '--json'], {env: {...relay.env, ...env}});
    used.close();
    expect(ended.code).toBe(exitCode);
    expect(ended.cli.error).toMatchObject({code, next: expect.stringMatching(/\w/)});
    expect(ended.stderr).toBe('');
  });

  test('a relay without egress says so, and without a relay nothing starts', async ({scope: own}) => {
    const other = await startRelayProcess(own, {domain: 'r2.localhost'});
    const listed = await runCli(own, ['egress', 'list'], {env: other.env});
    expect(listed).toMatchObject({code: 0, stdout: ''});
    expect(listed.stderr).toMatch(/offers no egress to this token\.$/m);
    const none = await runCli(own, ['egress', 'listen', '--via', 'db', '--json']);
    expect(none.cli.error).toMatchObject({code: 'RELAY_NEEDED', exitCode: 2});
  });
});

describe('the library', () => {
  test('the example of docs/egress.md runs as it is', async ({scope: own}) => {
    const ended = await runExample(own, 'egress.md', {
      change: (code) => code.replace("'example.com', port: 80", `'127.0.0.1', port: ${web}`),
      env: relay.env,
    });
    expect(ended).toMatchObject({code: 0, stderr: ''});
    expect(ended.stdout).toMatch(/^\[ '127\.0\.0\.2', '127\.0\.0\.3' \]\nHTTP\/1\.1 200 OK\r\n/);
    expect(ended.stdout).toMatch(
      /127\.0\.0\.[23]\n127\.0\.0\.1:\d+\nhttp:\/\/tunl:[0-9a-f]{32}@127\.0\.0\.1:\d+\n$/,
    );
  });

  test('an unknown egress, an end, and a signal', async ({scope: own}) => {
    const {url, token, caFile} = relay;
    const stateDir = await own.tempDir('state');
    const options = {relay: url, token, caFile, stateDir};
    await expect(egress('nope', options)).rejects.toMatchObject({
      code: 'EGRESS_UNKNOWN',
      next: 'It offers my-proxy, db.',
    });
    const aborter = new AbortController();
    const out = await egress('db', {...options, signal: aborter.signal});
    await expect(out.resolve('nothing.invalid')).rejects.toMatchObject({code: 'EGRESS_UNREACHABLE'});
    const port = await out.listen();
    aborter.abort();
    await out.closed;
    await expect(out.listen()).rejects.toMatchObject({code: 'CLOSED'});
    await expect(curl('--proxy', port.url, 'http://example.com/')).resolves.toBe('');
  });
});
