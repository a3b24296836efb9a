// `--tcp --private`: no port at the relay; `tunl connect` carries the bytes of those who have a link.

import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {connect, createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import {afterAll, beforeAll, expect} from 'vitest';
import {forward, type TunnelEvent} from '../../src/index.js';
import {Child, run} from '../helpers/child.js';
import {entry, runCli, startCli} from '../helpers/cli.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {startSshd} from '../helpers/sshd.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tlsVisitor} from '../helpers/visitors.js';
import {parseEvent} from '../project/event-schema.js';

let shared: Scope;
let relay: RelayProcess;

beforeAll(async () => {
  shared = new Scope();
  relay = await startRelayProcess(shared);
}, 60_000);

afterAll(async () => await shared[Symbol.asyncDispose]());

/** A private TCP tunnel, and its link in a file. */
async function exposed(scope: Scope, port: number, flags: readonly string[] = []) {
  const {cli, ready} = await relay.expose(port, {flags: ['--tcp', '--private', ...flags]});
  const linkFile = join(await scope.tempDir('link'), 'link');
  await writeFile(linkFile, `${ready.link}\n`);
  const at = ready.tls as {host: string; port: number};
  return {cli, ready, linkFile, at, token: new URL(ready.link ?? '').searchParams.get('tunl') ?? ''};
}

/** `tunl connect --listen`, and the port that it has. */
async function listening(scope: Scope, linkFile: string) {
  const cli = await startCli(scope, ['connect', '--link-file', linkFile, '--listen', '127.0.0.1:0'], {
    env: relay.env,
  });
  return {cli, port: Number((await cli.line()).split(':')[1])};
}

/** A connection to the name without `tunl connect`. */
async function bare(scope: Scope, at: {host: string; port: number}) {
  const visitor = record(await tlsVisitor(scope, at, {caFile: relay.caFile}));
  visitor.socket.once('end', () => visitor.socket.end());
  return visitor;
}

test('no port, a link for `tunl connect`, and only those who have it reach the service', async ({scope}) => {
  const {ready, cli, linkFile, at} = await exposed(scope, await echoUpstream(scope));
  expect(ready).toMatchObject({connect: true, address: ready.link, link: expect.stringContaining('/?tunl=')});
  expect(ready.tcp).toBeUndefined();
  const connected = await startCli(scope, ['connect', '--link-file', linkFile], {
    env: relay.env,
    stdin: true,
  });
  connected.stdin.end('hello\n');
  expect(await connected.finished()).toMatchObject({code: 0, stdout: 'hello\n', stderr: ''});
  const byVariable = await startCli(scope, ['connect'], {
    env: {...relay.env, TUNL_LINK: readFileSync(linkFile, 'utf8')},
    stdin: true,
  });
  byVariable.stdin.end('hello\n');
  expect(await byVariable.finished()).toMatchObject({code: 0, stdout: 'hello\n'});
  for (const [first, answer] of [
    ['hello', 'TUNL/1 LINK_NEEDED\n'],
    [`TUNL/1 ${'x'.repeat(32)}\n`, 'TUNL/1 LINK_INVALID\n'],
    ['TUNL/1 __proto__\n', 'TUNL/1 LINK_INVALID\n'],
    ['GET / HTTP/1.1\r\n\r\n', 'HTTP/1.1 400 Bad Request'],
  ] as const) {
    const visitor = await bare(scope, at);
    visitor.socket.write(first);
    await visitor.closed;
    expect([first, visitor.data().toString()]).toEqual([first, expect.stringContaining(answer)]);
  }
  // None of them has reached the service.
  await cli.stop();
  const opened = cli.stdout.split('\n').filter((line) => line.includes('"state":"open"'));
  expect(opened).toHaveLength(2);
  const {token} = {token: new URL(ready.link ?? '').searchParams.get('tunl')};
  expect(cli.stdout.split(String(token)).length - 1).toBe(2);
});

test('a real sshd through ProxyCommand: a login, and a copy in both directions', async ({scope}) => {
  const sshd = await startSshd(scope);
  const {linkFile} = await exposed(scope, sshd.port);
  const proxy = `${process.execPath} ${entry} connect --ca-file ${relay.caFile} --link-file ${linkFile}`;
  const ssh = async (command: string, input?: string) => {
    const [program = '', ...words] = sshd.ssh('anything', 22);
    return await run(scope, program, ['-o', `ProxyCommand=${proxy}`, ...words, command], {
      ...(input !== undefined && {input}),
    });
  };
  expect(await ssh('echo logged in; exit 7')).toMatchObject({code: 7, stdout: 'logged in\n'});
  const big = 'x'.repeat(3_000_000);
  const echoed = await ssh('cat', big);
  expect(echoed.stdout.length).toBe(big.length);
});

test('redis behind a local port: several connections, 20,000 commands in one pipe', async ({scope}) => {
  const port = await unusedPort();
  const redis = Child.start(scope, 'redis-server', [
    ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    ...['--dir', await scope.tempDir('redis')],
  ]);
  await redis.line((line) => line.includes('Ready to accept connections'));
  const {linkFile} = await exposed(scope, port);
  const local = await listening(scope, linkFile);
  const redisCli = (args: readonly string[], input?: string) =>
    run(scope, 'redis-cli', ['-h', '127.0.0.1', '-p', String(local.port), ...args], {
      ...(input !== undefined && {input}),
    });
  const commands = Array.from({length: 20_000}, (_, i) => `SET k${i} v${i}\r\n`).join('');
  const [piped, ...pongs] = await Promise.all([
    redisCli(['--pipe'], commands),
    ...Array.from({length: 4}, () => redisCli(['ping'])),
  ]);
  expect(piped?.stdout).toContain('errors: 0, replies: 20000');
  expect(pongs.map(({stdout}) => stdout)).toEqual(Array(4).fill('PONG\n'));
  expect(await local.cli.stop()).toMatchObject({code: 0});
});

test('--json has an event for the port, and is refused beside the bytes of a connection', async ({scope}) => {
  const {linkFile, at, token} = await exposed(scope, await echoUpstream(scope));
  const words = ['connect', '--link-file', linkFile, '--json'];
  const local = await startCli(scope, [...words, '--listen', '[::1]:0'], {env: relay.env});
  const event = parseEvent(await local.line());
  expect(event).toEqual({
    type: 'connect-port',
    to: `${at.host}:${at.port}`,
    address: expect.stringMatching(/^\[::1\]:\d+$/),
  });
  await local.stop();
  expect(local.stdout).not.toContain(token);
  const {code, cli} = await runCli(scope, words, {env: relay.env});
  expect([code, cli.error?.code, cli.error?.next]).toEqual([2, 'USAGE', expect.stringContaining('--listen')]);
});

test('half-closes and resets pass, in both directions', async ({scope}) => {
  const seen: Socket[] = [];
  const server = createServer({allowHalfOpen: true}, (socket) => seen.push(socket.on('error', () => {})));
  const {linkFile} = await exposed(scope, await scope.listen(server));
  const {port} = await listening(scope, linkFile);
  const pair = async () => {
    const count = seen.length;
    const visitor = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    scope.onEnd(() => void visitor.destroy());
    if (seen.length === count) await once(server, 'connection');
    return {visitor: record(visitor), upstream: record(seen[count] as Socket)};
  };
  const first = await pair();
  first.visitor.socket.end('question');
  await once(first.upstream.socket, 'end');
  expect(first.upstream.data().toString()).toBe('question');
  first.upstream.socket.end('answer');
  expect(await first.visitor.closed).toBeUndefined();
  expect(first.visitor.data().toString()).toBe('answer');

  const second = await pair();
  second.upstream.socket.end('bye');
  await once(second.visitor.socket, 'end');
  second.visitor.socket.end('late');
  expect(await second.upstream.closed).toBeUndefined();
  expect([second.visitor.data().toString(), second.upstream.data().toString()]).toEqual(['bye', 'late']);

  const third = await pair();
  third.visitor.socket.write('x');
  await third.upstream.received(1);
  third.visitor.socket.resetAndDestroy();
  expect(await third.upstream.closed).toBe('ECONNRESET');

  const fourth = await pair();
  fourth.visitor.socket.write('x');
  await fourth.upstream.received(1);
  fourth.upstream.socket.resetAndDestroy();
  expect(await fourth.visitor.closed).toBe('ECONNRESET');
});

test('a link in the command line works, with a warning, and is not in what `ps` shows', async ({scope}) => {
  const {ready, token} = await exposed(scope, await echoUpstream(scope));
  const cli = await startCli(scope, ['connect', ready.link ?? ''], {env: relay.env, stdin: true});
  await cli.saidOnStderr(/other users of this machine may have seen the link/);
  cli.stdin.write('hello\n');
  await cli.line();
  const words = readFileSync(`/proc/${cli.pid}/cmdline`, 'latin1');
  expect(words).not.toContain(token);
  cli.stdin.end();
  expect((await cli.finished()).code).toBe(0);
});

test('what `tunl connect` says of a wrong link, of none, and of a service that is away', async ({scope}) => {
  const {linkFile, ready} = await exposed(scope, await unusedPort());
  const wrong = join(await scope.tempDir('link'), 'wrong');
  const use = async (text: string) => {
    await writeFile(wrong, text);
    const {code, stderr} = await runCli(scope, ['connect', '--link-file', wrong], {env: relay.env});
    return [code, /code: (\S+)/.exec(stderr)?.[1]];
  };
  expect(await use(`${ready.link?.slice(0, -26)}${'x'.repeat(26)}`)).toEqual([4, 'LINK_INVALID']);
  expect(await use('')).toEqual([4, 'LINK_INVALID']);
  expect(await use(`${ready.url}/?other=1`)).toEqual([4, 'LINK_INVALID']);
  expect(await use(`https://nobody.${relay.domain}:${relay.port}/?tunl=x`)).toEqual([5, 'TUNNEL_UNKNOWN']);
  const away = await runCli(scope, ['connect', '--link-file', linkFile], {env: relay.env});
  expect(away).toMatchObject({code: 6, stderr: expect.stringContaining('UPSTREAM_REFUSED')});
  const none = await runCli(scope, ['connect'], {env: relay.env});
  expect(none).toMatchObject({code: 2, stderr: expect.stringContaining('There is no tunnel to connect to')});
  const both = await runCli(scope, ['connect', 'x', '--link-file', linkFile], {env: relay.env});
  expect(both).toMatchObject({code: 2, stderr: expect.stringContaining('name two tunnels')});
});

test('a link that is revoked resets its open connections, and no others; guesses are limited', async ({
  scope,
}) => {
  const events: TunnelEvent[] = [];
  const tunnel = scope.own(
    await forward(await echoUpstream(scope), {
      unencrypted: true,
      private: true,
      relay: relay.url,
      token: relay.token,
      caFile: relay.caFile,
      stateDir: await scope.tempDir('state'),
      onEvent: (event) => events.push(event),
    }),
  );
  const at = tunnel.ready.tls as {host: string; port: number};
  const enter = async (url: string) => {
    const visitor = await bare(scope, at);
    visitor.socket.write(`TUNL/1 ${new URL(url).searchParams.get('tunl')}\nhello`);
    const answer = (await visitor.received('TUNL/1 OK\nhello'.length)).toString();
    return {...visitor, answer};
  };
  const first = await enter(tunnel.ready.link ?? '');
  const link = tunnel.share();
  const second = await enter(link.url);
  expect([first.answer, second.answer]).toEqual(Array(2).fill('TUNL/1 OK\nhello'));
  tunnel.revoke(link.id);
  expect(await second.closed).toBe('ECONNRESET');
  expect((await enter(link.url)).answer).toContain('LINK');
  first.socket.write('still');
  await first.received('TUNL/1 OK\nhellostill'.length);

  const once = tunnel.share({once: true});
  expect((await enter(once.url)).answer).toBe('TUNL/1 OK\nhello');
  expect((await enter(once.url)).answer).toContain('LINK');

  const replies = new Set<string>();
  for (let n = 0; n < 20 && !replies.has('TUNL/1 LATER\n'); n += 1) {
    const visitor = await bare(scope, at);
    visitor.socket.write(`TUNL/1 ${'x'.repeat(32)}\n`);
    await visitor.closed;
    replies.add(visitor.data().toString());
  }
  expect([...replies]).toEqual(['TUNL/1 LINK_INVALID\n', 'TUNL/1 LATER\n']);
});

test.for([
  [['--tcp', '--private', '--remote-port', '20000'], 'has no port of the relay'],
  [['--tcp', '--forwarded'], 'any bytes'],
] as const)('expose %s is refused', async ([flags, why], {scope}) => {
  const {code, stderr} = await runCli(scope, ['expose', '8000', ...flags], {env: relay.env});
  expect({code, stderr}).toEqual({code: 2, stderr: expect.stringContaining(why)});
});

test('`tunl connect` ends when nobody reads what comes, although its input is open', async ({scope}) => {
  const talker = createServer((socket) => {
    const timer = setInterval(() => socket.write('a line\n'), 50);
    socket.on('error', () => {}).once('close', () => clearInterval(timer));
  });
  const {linkFile} = await exposed(scope, await scope.listen(talker));
  const pipeline = `set -o pipefail; "$0" "$1" connect --link-file "$2" | head -1`;
  const child = Child.start(scope, 'bash', ['-c', pipeline, process.execPath, entry, linkFile], {
    env: relay.env,
    stdin: true,
  });
  expect(await child.line()).toBe('a line');
  expect(await child.exited).toMatchObject({code: 0});
});
