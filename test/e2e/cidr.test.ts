// `--cidr-allow` and `--cidr-deny`: the relay refuses visitors by their addresses, before it spends a handshake on them.

import {once} from 'node:events';
import type {Socket} from 'node:net';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {runCli, startCli} from '../helpers/cli.js';
import {frame, frameBytes, RawAgent} from '../helpers/raw-agent.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPortRange} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {boldVisitor, tlsVisitor} from '../helpers/visitors.js';

let shared: Scope;
let relay: RelayProcess;
let echo: number;

beforeAll(async () => {
  shared = new Scope();
  relay = await startRelayProcess(shared, {listen: '[::]:0'});
  echo = await echoUpstream(shared);
}, 60_000);

afterAll(async () => await shared[Symbol.asyncDispose]());

const toOf = (from: string) => (from.includes(':') ? '::1' : '127.0.0.1');

/** What a visitor of a tunnel from this address gets: its own bytes, or the reason why it does not. */
async function echoed(socket: Socket): Promise<string> {
  const ends = new Promise<string>((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    socket.once('close', () => resolve('closed'));
    socket.once('data', (data) => resolve(data.toString()));
  });
  socket.write('hello');
  const answer = await ends;
  socket.destroy();
  return answer;
}

async function overTcp(scope: Scope, port: number, from: string): Promise<string> {
  return await echoed(boldVisitor(scope, port, toOf(from), from));
}

async function overTls(scope: Scope, at: {host: string; port: number}, from: string): Promise<string> {
  try {
    return await echoed(await tlsVisitor(scope, at, {caFile: relay.caFile, from, via: toOf(from)}));
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

const DENIED = 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED';

describe.each([
  [
    'allowed addresses',
    ['--cidr-allow', '127.0.0.8/31', '--cidr-allow', '::1'],
    ['127.0.0.9', '::1'],
    ['127.0.0.10'],
  ],
  ['denied addresses', ['--cidr-deny', '127.0.0.9'], ['127.0.0.10', '::1'], ['127.0.0.9']],
  [
    'a denied address among allowed ones',
    ['--cidr-allow', '127.0.0.0/8', '--cidr-deny', '::ffff:127.0.0.9'],
    ['127.0.0.8'],
    ['127.0.0.9', '::1'],
  ],
])('%s', (_, flags, inside, outside) => {
  test('at a TLS name and at a TCP port; the owner hears of the first one', async ({scope}) => {
    const {cli, ready} = await relay.expose(echo, {flags: ['--tcp', ...flags]});
    const tls = ready.tls as {host: string; port: number};
    const port = ready.tcp?.port ?? 0;
    const all = async (froms: readonly string[]) =>
      await Promise.all(
        froms.map(async (from) => [from, await overTls(scope, tls, from), await overTcp(scope, port, from)]),
      );
    expect(await all(inside)).toEqual(inside.map((from) => [from, 'hello', 'hello']));
    const [first = ''] = outside;
    expect(await overTls(scope, tls, first)).toBe(DENIED);
    const {message} = await cli.event('notice', ({code}) => code === 'ADDRESS_REFUSED');
    expect(message).toContain(`A visitor from ${first} was refused because of its address`);
    expect(await all(outside)).toEqual(outside.map((from) => [from, DENIED, 'ECONNRESET']));
    // None of them has reached the agent.
    expect((await all(inside)).flat()).not.toContain('closed');
    await cli.stop();
    expect(cli.stdout.match(/ADDRESS_REFUSED/g)).toHaveLength(1);
    expect(cli.stdout).not.toMatch(new RegExp(`"visitor":"\\[?${first.replaceAll('.', '\\.')}\\]?:`));
  });
});

test('`tunl connect` says that its address is refused', async ({scope}) => {
  const {ready} = await relay.expose(echo, {flags: ['--cidr-deny', '127.0.0.0/8', '--cidr-deny', '::1']});
  const host = `${ready.tls?.host}:${ready.tls?.port}`;
  const {code, stderr} = await runCli(scope, ['connect', host], {env: relay.env});
  expect(code).toBe(5);
  expect(stderr).toContain('does not take visitors from this machine’s address');
});

test('new rules for a live tunnel reset the visitors that they do not admit, and no others', async ({
  scope,
}) => {
  const {agent} = await RawAgent.begin(scope, relay);
  agent.bind({kind: 'tcp', cidr: {deny: ['127.0.0.7']}});
  const {port, tunnel} = await agent.controlMessage('bound');
  const visitor = async (from: string) => {
    const socket = boldVisitor(scope, Number(port), '127.0.0.1', from);
    const {stream} = await agent.frame(
      ({type, payload}) => type === frame.open && payload.includes(`"${from}"`),
    );
    agent.segment(frameBytes(frame.opened, stream));
    const end = Promise.withResolvers<string>();
    socket.on('error', (error: NodeJS.ErrnoException) => end.resolve(String(error.code)));
    return {socket, stream, end: end.promise};
  };
  const [good, bad] = [await visitor('127.0.0.8'), await visitor('127.0.0.9')];
  const restrict = (cidr: object) =>
    agent.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'restrict', tunnel, cidr})));
  restrict({allow: ['127.0.0.0/29', '127.0.0.8']});
  expect(await bad.end).toBe('ECONNRESET');
  const reset = await agent.frame(({type, stream}) => type === frame.reset && stream === bad.stream);
  expect(reset.payload.toString()).toContain('CANCELLED');
  // The rules of the bind no longer hold.
  await visitor('127.0.0.7');
  const [late] = (await once(boldVisitor(scope, Number(port), '127.0.0.1', '127.0.0.9'), 'error')) as [
    NodeJS.ErrnoException,
  ];
  expect(late.code).toBe('ECONNRESET');
  good.socket.write('still here');
  await agent.frame(
    ({type, stream, payload}) =>
      type === frame.data && stream === good.stream && payload.toString() === 'still here',
  );
  restrict({});
  await visitor('127.0.0.9');
  // A tunnel that is gone is no fault; rules that cannot be read end the session, and leave nothing open.
  agent.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'restrict', tunnel: 999_999, cidr: {}})));
  restrict({deny: ['everybody']});
  expect(await agent.lastWord()).toBe('PROTOCOL');
});

test.for(['in a terminal', 'in the background'] as const)(
  '`tunl access` for a tunnel %s',
  async (where, {scope}) => {
    const stateDir = await scope.tempDir('state');
    const options = {stateDir, env: {...relay.env, TUNL_STATE_DIR: stateDir}};
    const access = async (...args: string[]) => {
      const {code, cli, stderr} = await runCli(scope, ['access', 'demo', ...args, '--json'], options);
      return {code, stderr, event: cli.events[0]};
    };
    const detached = where === 'in the background';
    const cli = await startCli(
      scope,
      [
        ...['expose', `demo=${echo}`, '--tcp', '--cidr-deny', '127.0.0.9', '--json'],
        ...(detached ? ['--detach'] : []),
      ],
      options,
    );
    if (detached) scope.onEnd(async () => void (await runCli(scope, ['stop', '--all'], options)));
    const port = (await cli.event('ready')).tcp?.port ?? 0;
    expect(await overTcp(scope, port, '127.0.0.9')).toBe('ECONNRESET');
    const open = boldVisitor(scope, port, '127.0.0.1', '127.0.0.8');
    open.write('hello');
    await once(open, 'data');
    const reset = once(open, 'error');
    expect(await access('--cidr-allow', '127.0.0.9', '--cidr-allow', '127.0.0.10')).toMatchObject({
      code: 0,
      event: {type: 'access', tunnel: 'demo', allow: ['127.0.0.9', '127.0.0.10'], deny: []},
    });
    expect(((await reset) as [NodeJS.ErrnoException])[0].code).toBe('ECONNRESET');
    expect(await overTcp(scope, port, '127.0.0.9')).toBe('hello');
    expect(await overTcp(scope, port, '127.0.0.8')).toBe('ECONNRESET');
    expect(await access('--everywhere')).toMatchObject({code: 0, event: {allow: [], deny: []}});
    expect(await overTcp(scope, port, '127.0.0.8')).toBe('hello');
    for (const wrong of [[], ['--everywhere', '--cidr-deny', '::1'], ['--cidr-deny', 'nobody']])
      expect((await access(...wrong)).code).toBe(2);
  },
);

test('`tunl access` for a tunnel that drains resets the visitors whom the new rules do not admit', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('state');
  const {cli, ready} = await relay.expose(echo, {
    stateDir,
    flags: ['--tcp', '--cidr-deny', '127.0.0.9', '--drain-timeout', '1h'],
  });
  const visitor = async (from: string) => {
    const socket = boldVisitor(scope, ready.tcp?.port ?? 0, '127.0.0.1', from);
    socket.write('hello');
    await once(socket, 'data');
    return socket;
  };
  const [good, bad] = [await visitor('127.0.0.8'), await visitor('127.0.0.7')];
  const reset = once(bad, 'error');
  cli.signal('SIGTERM');
  await cli.event('draining');
  const env = {...relay.env, TUNL_STATE_DIR: stateDir};
  const access = await runCli(scope, ['access', `${echo}`, '--cidr-deny', '127.0.0.7'], {stateDir, env});
  expect(access, access.stderr).toMatchObject({code: 0});
  expect(((await reset) as [NodeJS.ErrnoException])[0].code).toBe('ECONNRESET');
  expect(await echoed(good)).toBe('hello');
  expect((await cli.exited).code).toBe(0);
});

test('a bind with rules that are none is refused, and its name stays free', async ({scope}) => {
  const {agent} = await RawAgent.begin(scope, relay);
  for (const [request, cidr] of [{allow: ['everybody']}, {deny: ['10.0.0.0/33']}].entries()) {
    agent.bind({kind: 'tls', h2: false, name: 'ruled', cidr}, request + 1);
    const refusal = await agent.controlMessage('bind-refused', (each) => each.request === request + 1);
    expect(refusal.code).toBe('OPTION_INVALID');
  }
  agent.bind({kind: 'tls', h2: false, name: 'ruled'}, 9);
  await agent.controlMessage('bound');
});

test('visitors who wait for an agent after a restart of the relay are compared when it is back', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  // Not a port that the system gives to somebody else between the two relays.
  const tcpPorts = await unusedPortRange(1);
  const first = await startRelayProcess(scope, {stateDir, tcpPorts});
  const before = await RawAgent.begin(scope, first);
  before.agent.bind({kind: 'tls', h2: false, name: 'demo'});
  before.agent.bind({kind: 'tcp'}, 2);
  await before.agent.controlMessage('bound', ({request}) => request === 1);
  const {port} = await before.agent.controlMessage('bound', ({request}) => request === 2);
  await first.cli.stop();
  const second = await startRelayProcess(scope, {stateDir, tcpPorts, token: first.token});
  const place = {host: `demo.${second.domain}`, port: second.port};
  const tls = (from: string) => tlsVisitor(scope, place, {caFile: second.caFile, from});
  const [goodTls, badTls] = [tls('127.0.0.8'), tls('127.0.0.9')];
  const [goodTcp, badTcp] = ['127.0.0.8', '127.0.0.9'].map((from) =>
    boldVisitor(scope, Number(port), '127.0.0.1', from),
  ) as [Socket, Socket];
  const reset = once(badTcp, 'error');
  const denied = expect(badTls).rejects.toMatchObject({code: DENIED});
  await Promise.all([once(goodTcp, 'connect'), once(badTcp, 'connect')]);
  const {agent} = await RawAgent.begin(scope, second);
  const cidr = {allow: ['127.0.0.8']};
  agent.bind({kind: 'tls', h2: false, name: 'demo', cidr});
  agent.bind({kind: 'tcp', port, cidr}, 2);
  await denied;
  expect(((await reset) as [NodeJS.ErrnoException])[0].code).toBe('ECONNRESET');
  await goodTls;
  for (const via of ['tls', 'tcp'])
    await agent.frame(
      ({type, payload}) =>
        type === frame.open && payload.includes(`"${via}"`) && payload.includes('127.0.0.8'),
    );
});

test('with several workers every one of them refuses', async ({scope}) => {
  const crew = await startRelayProcess(scope, {flags: ['--workers', '2']});
  const {ready} = await crew.expose(echo, {flags: ['--tcp', '--cidr-allow', '127.0.0.9']});
  const tls = ready.tls as {host: string; port: number};
  const at = {caFile: crew.caFile, via: '127.0.0.1'};
  for (let n = 0; n < 4; n += 1) {
    await expect(tlsVisitor(scope, tls, {...at, from: '127.0.0.8'})).rejects.toMatchObject({code: DENIED});
    expect(await overTcp(scope, ready.tcp?.port ?? 0, '127.0.0.8')).toBe('ECONNRESET');
  }
  expect(await echoed(await tlsVisitor(scope, tls, {...at, from: '127.0.0.9'}))).toBe('hello');
  expect(await overTcp(scope, ready.tcp?.port ?? 0, '127.0.0.9')).toBe('hello');
});

test.for([
  ['a word', ['--cidr-allow', 'office'], '--cidr-allow: "office" is neither an address nor a range'],
  ['too many', Array(65).fill(['--cidr-deny', '10.0.0.1']).flat(), 'cidrDeny has 64 values at the most'],
] as const)('%s is refused before anything starts', async ([, flags, why], {scope}) => {
  const {code, stderr} = await runCli(scope, ['expose', '8000', ...flags], {env: relay.env});
  expect({code, stderr}).toEqual({code: 2, stderr: expect.stringContaining(why)});
});
