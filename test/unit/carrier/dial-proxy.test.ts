// The agent behind a proxy: a real CONNECT proxy, and only it can reach the relay.
import {once} from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net, {type Socket} from 'node:net';
import {inspect} from 'node:util';
import {expect} from 'vitest';
import {type DialOptions, dialCarrier} from '../../../src/lib/carrier/dial.js';
import {acceptUpgrade} from '../../../src/lib/carrier/upgrade.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import {listenTo, send} from '../../helpers/carriers.js';
import {createAuthority} from '../../helpers/certificates.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {type Scope, unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

// RFC 2606: no resolver knows this name, so only the proxy can reach it.
const host = 'relay.invalid';

/** A relay that echoes, and the port it listens on. */
async function echoRelay(scope: Scope) {
  const authority = await createAuthority();
  const server = https.createServer(await authority.issue([host, '192.0.2.44', 'proxy.localhost']));
  server.on('upgrade', (req, socket, head) => {
    const carrier = acceptUpgrade({req, socket, head});
    if (carrier === undefined) return;
    const log = listenTo(carrier);
    log.onPiece = (piece) => void send(carrier, piece);
  });
  return {authority, server, port: await scope.listen(server)};
}

interface ProxyOptions {
  /** The port to which all requests go. */
  target: number;
  credentials?: string;
  status?: number;
  tls?: https.ServerOptions;
}

interface RunningProxy {
  port: number;
  /** `CONNECT` targets, in order. */
  asked: string[];
  /** Connections that are open, from the agent and to the relay. */
  open: Set<Socket>;
}

async function connectProxy(scope: Scope, options: ProxyOptions): Promise<RunningProxy> {
  const server = options.tls === undefined ? http.createServer() : https.createServer(options.tls);
  const asked: string[] = [];
  const open = new Set<Socket>();
  const track = (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => open.delete(socket));
  };
  server.on('connection', track);
  server.on('connect', (req, near: Socket) => {
    asked.push(`${req.url} ${req.headers.host}`);
    near.on('error', () => {});
    const wanted = options.credentials;
    if (wanted !== undefined && req.headers['proxy-authorization'] !== `Basic ${btoa(wanted)}`)
      return near.end('HTTP/1.1 407 Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n');
    if (options.status !== undefined) return near.end(`HTTP/1.1 ${options.status} No\r\n\r\n`);
    const far = net.connect(options.target, '127.0.0.1');
    track(far);
    near.write('HTTP/1.1 200 Connection established\r\n\r\n');
    near.pipe(far);
    far.pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    return undefined;
  });
  return {port: await scope.listen(server), asked, open};
}

const token = 'tunl_test_SECRETSECRETSECRET';

function dial(ca: string, proxy: string, options: Partial<DialOptions> = {}) {
  return dialCarrier({
    url: `https://${host}`,
    path: '/agent',
    token,
    ca,
    timeoutMs: 20_000,
    env: {HTTPS_PROXY: proxy},
    ...options,
  });
}

async function failed(dialled: Promise<unknown>): Promise<TunlError> {
  const error = await dialled.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TunlError);
  expect(inspect(error, {depth: 10})).not.toMatch(/SECRET|hunter2/);
  return error as TunlError;
}

async function quiet({open}: RunningProxy) {
  for (const socket of open)
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

async function echoes({carrier}: Awaited<ReturnType<typeof dialCarrier>>) {
  const log = listenTo(carrier);
  const bytes = Buffer.alloc(500_000, 'through the proxy ');
  void send(carrier, bytes);
  await log.received(bytes.length);
  expect(log.data.equals(bytes)).toBe(true);
  carrier.end();
  expect(await log.closed()).toBeUndefined();
}

test('through CONNECT', async ({scope}) => {
  const relay = await echoRelay(scope);
  const proxy = await connectProxy(scope, {target: relay.port});
  await echoes(await dial(relay.authority.cert, `http://127.0.0.1:${proxy.port}`));
  expect(proxy.asked).toEqual([`${host}:443 ${host}:443`]);
  await quiet(proxy);
});

test('to another address and port', async ({scope}) => {
  const relay = await echoRelay(scope);
  const proxy = await connectProxy(scope, {target: relay.port});
  const url = 'https://192.0.2.44:8443';
  await echoes(await dial(relay.authority.cert, `127.0.0.1:${proxy.port}`, {url}));
  expect(proxy.asked).toEqual(['192.0.2.44:8443 192.0.2.44:8443']);
});

test('with Basic credentials', async ({scope}) => {
  const relay = await echoRelay(scope);
  const proxy = await connectProxy(scope, {target: relay.port, credentials: 'me:hunter2'});
  await echoes(await dial(relay.authority.cert, `http://me:hunter2@127.0.0.1:${proxy.port}`));
});

test('through a proxy that is reached by TLS', async ({scope}) => {
  const relay = await echoRelay(scope);
  const tls = await relay.authority.issue(['proxy.localhost']);
  const proxy = await connectProxy(scope, {target: relay.port, tls});
  const error = await failed(dial(relay.authority.cert, `https://127.0.0.1:${proxy.port}`));
  expect(error).toMatchObject({code: 'PROXY_FAILED', message: expect.stringContaining('not for 127.0.0.1')});
  await echoes(await dial(relay.authority.cert, `https://proxy.localhost:${proxy.port}`));
});

test.for([
  ['no credentials', '', 'HTTPS_PROXY has none'],
  ['wrong credentials', 'me:hunter2@', 'does not accept the user name and password'],
])('%s', async ([_what, userinfo, text], {scope}) => {
  const proxy = await connectProxy(scope, {target: 1, credentials: 'me:right'});
  const {cert} = await createAuthority();
  const error = await failed(dial(cert, `http://${userinfo}127.0.0.1:${proxy.port}`));
  expect(error).toMatchObject({code: 'PROXY_FAILED', exitCode: 3});
  expect(error.message).toContain(text);
  expect(error.message).toContain(`127.0.0.1:${proxy.port}`);
  await quiet(proxy);
});

test('a proxy that knows only other ways to log in: they are named', async ({scope}) => {
  const server = http.createServer();
  server.on('connect', (_req, near: Socket) => {
    near.end(
      'HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM TlRMTVNTUAAC=\r\n' +
        'Proxy-Authenticate: Digest realm="x, y", nonce="z", Bearer realm="w"\r\n\r\n',
    );
  });
  const port = await scope.listen(server);
  const {cert} = await createAuthority();
  for (const userinfo of ['', 'me:hunter2@']) {
    const error = await failed(dial(cert, `http://${userinfo}127.0.0.1:${port}`));
    expect(error.code).toBe('PROXY_FAILED');
    expect(error.message).toContain('offers only Negotiate, NTLM, Digest, Bearer to log in');
    expect(error.message).not.toContain('hunter2');
  }
});

test.for([403, 502, 503, 504])('a proxy that answers %i', async (status, {scope}) => {
  const proxy = await connectProxy(scope, {target: 1, status});
  const {cert} = await createAuthority();
  const error = await failed(dial(cert, `http://127.0.0.1:${proxy.port}`));
  expect(error.code).toBe('PROXY_FAILED');
  expect(error.message).toBe(`The proxy: 127.0.0.1:${proxy.port} answered ${status} to CONNECT ${host}:443.`);
  await quiet(proxy);
});

test('a proxy that does not exist, or has no address', async () => {
  const {cert} = await createAuthority();
  const port = await unusedPort();
  const refused = await failed(dial(cert, `http://127.0.0.1:${port}`));
  expect(refused).toMatchObject({code: 'PROXY_FAILED', message: expect.stringContaining('refused')});
  const unknown = await failed(dial(cert, `http://${'a'.repeat(64)}.example:1`));
  expect(unknown).toMatchObject({code: 'PROXY_FAILED', message: expect.stringContaining('does not resolve')});
});

test.for<[string, (socket: Socket) => void]>([
  ['speaks another protocol', (socket) => socket.end('220 mail.example ESMTP\r\n')],
  ['hangs up', (socket) => socket.end()],
  ['sends bytes before the relay does', (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\nhello')],
])('a proxy that %s', async ([_what, onConnect], {scope}) => {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => onConnect(socket));
  });
  const port = await scope.listen(server);
  const {cert} = await createAuthority();
  expect(await failed(dial(cert, `http://127.0.0.1:${port}`))).toMatchObject({code: 'PROXY_FAILED'});
});

test('a proxy that sends nothing', async ({scope}) => {
  const clock = new ManualClock();
  const server = net.createServer();
  const port = await scope.listen(server);
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const {cert} = await createAuthority();
  const dialled = failed(dial(cert, `http://127.0.0.1:${port}`, {clock, timeoutMs: 3_000}));
  const [socket] = await connected;
  await once(socket, 'data');
  clock.advance(3_000);
  const error = await dialled;
  expect(error.code).toBe('PROXY_FAILED');
  expect(error.message).toContain(`(CONNECT through the proxy 127.0.0.1:${port})`);
  await once(socket.resume(), 'close');
});

test('errors behind the proxy are reported as the relay’s', async ({scope}) => {
  const relay = await echoRelay(scope);
  const proxy = await connectProxy(scope, {target: relay.port});
  const {cert} = await createAuthority('Some other CA');
  const error = await failed(dial(cert, `http://127.0.0.1:${proxy.port}`));
  expect(error).toMatchObject({code: 'RELAY_CERTIFICATE', message: expect.stringContaining(`${host}:443`)});
  // Twice: with the given authority alone, then with those of the system.
  expect(proxy.asked).toHaveLength(2);
  await quiet(proxy);
});

test('an abort while the relay behind the proxy sends nothing', async ({scope}) => {
  const silent = net.createServer((socket) => void socket.resume());
  const arrived = once(silent, 'connection') as Promise<[Socket]>;
  const proxy = await connectProxy(scope, {target: await scope.listen(silent)});
  const controller = new AbortController();
  const {cert} = await createAuthority();
  const dialled = failed(dial(cert, `http://127.0.0.1:${proxy.port}`, {signal: controller.signal}));
  const [socket] = await arrived;
  await once(socket, 'data');
  controller.abort();
  expect((await dialled).code).toBe('ABORTED');
  await quiet(proxy);
});

test('loopback is never dialled through a proxy, and NO_PROXY is respected', async ({scope}) => {
  const proxy = await connectProxy(scope, {target: 1, status: 502});
  const authority = await createAuthority();
  const server = https.createServer(await authority.issue(['r1.localhost', '127.0.0.1']));
  server.on('upgrade', (req, socket, head) => {
    acceptUpgrade({req, socket, head})?.start({onData() {}, onDrain() {}, onClose() {}});
  });
  const port = await scope.listen(server);
  const way = `http://127.0.0.1:${proxy.port}`;
  for (const name of ['r1.localhost', '127.0.0.1']) {
    const {carrier} = await dial(authority.cert, way, {url: `https://${name}:${port}`});
    carrier.destroy();
  }
  const env = {HTTPS_PROXY: way, NO_PROXY: '.invalid'};
  expect(await failed(dial(authority.cert, '', {env}))).toMatchObject({code: 'RELAY_NAME_UNKNOWN'});
  expect(proxy.asked).toEqual([]);
});
