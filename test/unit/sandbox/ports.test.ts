// The tunnels of one sandbox, through a relay in this process, over a backend without isolation.
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {connect, createServer, type Socket} from 'node:net';
import {connect as connectTls} from 'node:tls';
import {afterAll, beforeAll, expect} from 'vitest';
import {type Relay, startRelay} from '../../../src/index.js';
import {beginSandbox} from '../../../src/lib/sandbox/begin.js';
import type {SandboxTunnel} from '../../../src/lib/sandbox/control.js';
import {SandboxHost} from '../../../src/lib/sandbox/host.js';
import {readOptions, type SandboxOptions} from '../../../src/lib/sandbox/options.js';
import {FakeBackend} from '../../helpers/fake-sandbox.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const TOKEN = 'a-token-of-16-or-more';
const SLEEP = ['sleep', '1000'];

const all = new Scope();
let relay: Relay;
let ca: Buffer;
beforeAll(async () => {
  const stateDir = await all.tempDir('relay');
  relay = all.own(await startRelay({domain: 'r1.localhost', token: TOKEN, tcpPorts: [0, 0], stateDir}));
  ca = await readFile(relay.caFile as string);
});
afterAll(async () => await all[Symbol.asyncDispose]());

interface Begun {
  host: SandboxHost;
  backend: FakeBackend;
}

async function begin(
  scope: Scope,
  options: SandboxOptions,
  command: readonly string[] = SLEEP,
): Promise<Begun> {
  const backend = new FakeBackend();
  const stateDir = await scope.tempDir('agent');
  const connection = {relay: relay.url, token: TOKEN, caFile: relay.caFile as string};
  const host = await beginSandbox(
    command,
    {stateDir, ...connection, ...options},
    {openBackend: async () => backend},
  );
  scope.onEnd(async () => void (await host.terminate()));
  return {host, backend};
}

function one(tunnels: readonly SandboxTunnel[], port: number): SandboxTunnel {
  const found = tunnels.find((tunnel) => tunnel.port === port);
  if (found === undefined) throw new Error(`no tunnel for ${port}`);
  return found;
}

function visit({tcpSocket, tlsSocket}: SandboxTunnel, alpn?: string[]): Socket {
  if (tcpSocket !== undefined) {
    const [host, port] = tcpSocket;
    return connect({host, port, allowHalfOpen: true});
  }
  if (tlsSocket === undefined) throw new Error('no address');
  const [servername, port] = tlsSocket;
  const socket = connect({host: '127.0.0.1', port, allowHalfOpen: true});
  return connectTls({socket, servername, ca, ...(alpn && {ALPNProtocols: alpn})});
}

async function ask(socket: Socket, text: string): Promise<string> {
  socket.end(text);
  let answer = '';
  for await (const piece of socket) answer += String(piece);
  return answer;
}

const echo = (scope: Scope, host = '127.0.0.1', port = 0) =>
  scope.listen(
    createServer({allowHalfOpen: true}, (socket) => socket.on('error', () => {}).pipe(socket)),
    host,
    port,
  );

test('each port has its tunnel, all on one link, and half-closes pass', async ({scope}) => {
  const [plain, h2, raw] = [await echo(scope), await echo(scope), await echo(scope)];
  const {host} = await begin(scope, {encryptedPorts: [plain], h2Ports: [h2], unencryptedPorts: [raw]});
  const tunnels = await host.tunnels();
  expect(relay.stats()).toMatchObject({agents: 1, tunnels: 4});
  expect(one(tunnels, plain)).toEqual({
    port: plain,
    url: expect.stringMatching(/^https:\/\/[a-z2-7]{26}\.r1\.localhost:\d+$/),
    tlsSocket: [expect.stringContaining('.r1.localhost'), expect.any(Number)],
  });
  expect(one(tunnels, raw).tcpSocket).toEqual([expect.any(String), expect.any(Number)]);
  expect(await host.tunnels()).toEqual(tunnels);
  expect(host.snapshot.tunnels).toEqual([...tunnels]);
  for (const port of [plain, h2, raw]) {
    const alpn = port === h2 ? ['h2'] : undefined;
    expect(await ask(visit(one(tunnels, port), alpn), `to ${port}`)).toBe(`to ${port}`);
  }
});

test('a visitor before the service listens waits for it', async ({scope}) => {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const at = (free.address() as {port: number}).port;
  free.close();
  await once(free, 'close');
  const {host} = await begin(scope, {unencryptedPorts: [at], waitUpstreamMs: 60_000});
  const tunnels = await host.tunnels();
  const answer = ask(visit(one(tunnels, at)), 'early');
  await echo(scope, '127.0.0.1', at);
  expect(await answer).toBe('early');
});

test('a name is asked for, and a sandbox with a name has its address again', async ({scope}) => {
  const port = await echo(scope);
  const {host} = await begin(scope, {encryptedPorts: [port], names: {[port]: 'ana-app'}});
  expect(one(await host.tunnels(), port).url).toMatch(/^https:\/\/ana-app\.r1\.localhost:/);
  await host.terminate();
  const stateDir = await scope.tempDir('named');
  const urls: (string | undefined)[] = [];
  for (const name of ['box', 'box', undefined, undefined]) {
    const again = await begin(scope, {encryptedPorts: [port], stateDir, ...(name && {name})});
    urls.push(one(await again.host.tunnels(), port).url);
    await again.host.terminate();
  }
  expect(urls[1]).toBe(urls[0]);
  expect(new Set(urls).size).toBe(3);
});

test('options about visitors hold for its ports: a private one answers its link alone', async ({scope}) => {
  const port = await scope.listen(
    createServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n'))),
  );
  const {host} = await begin(scope, {encryptedPorts: [port], private: true});
  const tunnel = one(await host.tunnels(), port);
  const {pathname, search, host: name} = new URL(tunnel.url ?? '');
  const request = (path: string, more = '') =>
    `GET ${path} HTTP/1.1\r\nHost: ${name}\r\n${more}Connection: close\r\n\r\n`;
  expect(await ask(visit(tunnel), request('/'))).toMatch(/^HTTP\/1\.1 40[13] /);
  const answer = await ask(visit(tunnel), request(pathname + search));
  expect(answer).toMatch(/^HTTP\/1\.1 204 /);
});

test('the command knows its address when it asks for it', async ({scope}) => {
  const port = await echo(scope);
  const {host, backend} = await begin(
    scope,
    {encryptedPorts: [port], placeholders: true, env: {BASE: '{url}/app', NAME: '{host}'}},
    ['sh', '-c', 'sleep 1000', '{url}'],
  );
  const {url} = one(await host.tunnels(), port);
  expect(backend.lastSpec?.command.at(-1)).toBe(url);
  expect(backend.lastSpec?.env).toEqual({BASE: `${url}/app`, NAME: new URL(url ?? '').hostname});
});

test('without an answer of the relay the address is missing, not the sandbox', async ({scope}) => {
  const {host} = await begin(scope, {encryptedPorts: [8080], token: 'another-token-of-16'});
  await host.started;
  await expect(host.tunnels()).rejects.toMatchObject({code: 'TOKEN_WRONG'});
  expect(host.snapshot.state).toBe('running');
  expect(await host.stats()).toEqual({pids: 2});
});

test('no address after fifty seconds is an error', async ({scope}) => {
  // It accepts connections and says nothing.
  const silent = await scope.listen(createServer((socket) => void socket.on('error', () => {})));
  const clock = new ManualClock();
  const options = {encryptedPorts: [8080], relay: `https://127.0.0.1:${silent}`, connectTimeoutMs: 600_000};
  const request = readOptions(SLEEP, {...options, token: TOKEN, stateDir: await scope.tempDir('agent')});
  const own = {
    id: 'sb_aaaaaaaa',
    workFolder: await scope.tempDir('work'),
    change: () => {},
    end: async () => {},
  };
  const backend = new FakeBackend();
  const host = new SandboxHost(request, {own, clock, openBackend: async () => backend});
  await host.started;
  const tunnels = host.tunnels();
  clock.advance(50_000);
  await expect(tunnels).rejects.toMatchObject({code: 'SANDBOX_TUNNELS'});
  const later = expect(host.tunnels()).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
  await host.terminate();
  await later;
});

test('visitors see the end: the last bytes, then an end or a reset', async ({scope}) => {
  const port = await scope.listen(
    createServer({allowHalfOpen: true}, (socket) => void socket.on('error', () => {}).write('hello')),
  );
  const {host, backend} = await begin(scope, {unencryptedPorts: [port]});
  const tunnels = await host.tunnels();
  const visitor = visit(one(tunnels, port));
  await once(visitor, 'data');
  const gone = once(visitor, 'close').catch(() => {});
  backend.handles[0]?.lose();
  expect(await host.ended).toMatchObject({reason: 'lost'});
  await gone;
  expect(relay.stats().tunnels).toBe(0);
});

test('a silent visitor does not keep it alive, one who sends does', async ({scope}) => {
  const port = await echo(scope);
  const clock = new ManualClock();
  const connection = {relay: relay.url, token: TOKEN, caFile: relay.caFile as string};
  const request = readOptions(SLEEP, {
    ...connection,
    unencryptedPorts: [port],
    timeoutMs: 0,
    idleTimeoutMs: 120_000,
    stateDir: await scope.tempDir('agent'),
  });
  const own = {
    id: 'sb_aaaaaaaa',
    workFolder: await scope.tempDir('work'),
    change: () => {},
    end: async () => {},
  };
  const backend = new FakeBackend();
  const host = new SandboxHost(request, {own, clock, openBackend: async () => backend});
  scope.onEnd(async () => void (await host.terminate()));
  const visitor = visit(one(await host.tunnels(), port));
  const send = async (bytes: number) => {
    visitor.write(Buffer.alloc(bytes, 'x'));
    let echoed = 0;
    while (echoed < bytes) echoed += (await once(visitor, 'data'))[0].length;
  };
  for (let minute = 0; minute < 6; minute += 1) {
    await send(300);
    clock.advance(60_000);
  }
  expect(host.snapshot.activity).toMatchObject({source: 'traffic'});
  // The last look with traffic was 45 s ago.
  await send(6);
  clock.advance(70_000);
  await send(6);
  expect(host.snapshot.state).toBe('ready');
  visitor.on('error', () => {});
  clock.advance(5_000);
  visitor.resume();
  expect(await host.ended).toMatchObject({reason: 'idle'});
});
