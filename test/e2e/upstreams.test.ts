// Upstreams other than a port: nginx at a Unix socket, TLS servers, each through a relay in another process.

import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {createSecureServer} from 'node:http2';
import {Agent, createServer as createHttpsServer} from 'node:https';
import {join} from 'node:path';
import {expect} from 'vitest';
import {WebSocket, WebSocketServer} from 'ws';
import {gate, sawNoService, wayIn} from '../helpers/behind-gate.js';
import {selfSigned} from '../helpers/certificates.js';
import {Child} from '../helpers/child.js';
import {startCli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {startNginxAt} from '../helpers/nginx.js';
import {opensslAuthority} from '../helpers/openssl.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const BIG = 20 * 1024 * 1024;

/** The answer's body and its status. */
async function get(scope: Scope, relay: RelayProcess, url: string, more: string[] = []) {
  const {code, stdout} = await curl(scope, relay.caFile, [...more, '--write-out', '\n%{http_code}', url]);
  const at = stdout.lastIndexOf('\n');
  return {code, body: stdout.slice(0, at), status: Number(stdout.slice(at + 1))};
}

test('nginx at a Unix socket: pages, a big file, and the messages when it is gone and comes back', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const path = join(await scope.tempDir('app'), 'app.sock');
  const place = {listen: `unix:${path}`, place: {path}};
  const nginx = await startNginxAt(scope, BIG, place);
  const {cli, ready} = await relay.expose(`unix:${path}`);
  expect(ready.upstream).toBe(`unix:${path}`);
  expect(await get(scope, relay, `${ready.url}/`)).toEqual({code: 0, body: 'x'.repeat(100), status: 200});
  const out = join(await scope.tempDir('big'), 'big');
  await get(scope, relay, `${ready.url}/big`, ['--output', out]);
  expect((await readFile(out)).equals(Buffer.alloc(BIG))).toBe(true);
  await nginx[Symbol.asyncDispose]();
  expect(await get(scope, relay, `${ready.url}/`)).toSatisfy(sawNoService);
  const {message} = await cli.event('notice', ({code}) => code === 'UPSTREAM_REFUSED');
  expect(message).toContain(`unix:${path} does not accept connections (E`);
  await startNginxAt(scope, 0, place);
  await cli.event('upstream', ({answers}) => answers);
  expect(await get(scope, relay, `${ready.url}/`)).toMatchObject({code: 0, status: 200});
});

test('an https upstream that is asked in plain HTTP and closes without an answer: told once', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const server = createHttpsServer(await selfSigned(['app.internal']), (_request, response) =>
    response.end('secret'),
  );
  const cli = await startCli(scope, ['expose', String(await scope.listen(server))], {env: relay.env});
  const {origin} = new URL(await cli.line());
  for (let n = 0; n < 3; n++) expect(await get(scope, relay, `${origin}/`)).toSatisfy(sawNoService);
  await cli.saidOnStderr(/The upstream expects HTTPS and is asked in plain HTTP: give it as https:/);
  await cli.stop();
  expect(cli.stderr.match(/expects HTTPS/g)).toHaveLength(1);
});

test('an https upstream is checked against its own CA and its name', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {caFile, issue} = await opensslAuthority(scope);
  const port = await unusedPort();
  const {certFile, keyFile} = await issue('app.internal');
  await startNginxAt(scope, BIG, {
    listen: `127.0.0.1:${port} ssl`,
    place: {host: '127.0.0.1', port},
    settings: [`ssl_certificate ${certFile};`, `ssl_certificate_key ${keyFile};`],
  });
  const target = `https://localhost:${port}`;
  const told = async (flags: string[], env: Record<string, string> = {}) => {
    const {cli, ready} = await relay.expose(target, {flags, env});
    expect(ready.upstream).toBe(target);
    const got = await get(scope, relay, `${ready.url}/`);
    if (!sawNoService(got)) return got.status;
    const {reason} = await cli.event('upstream', ({code}) => code === 'UPSTREAM_CERTIFICATE');
    await cli.event('notice', ({code}) => code === 'UPSTREAM_CERTIFICATE');
    // A gate has answered this visitor.
    if (gate === undefined)
      await cli.event('connection', ({state, code}) => state === 'refused' && code === 'UPSTREAM_REFUSED');
    return reason;
  };
  expect(await told([])).toBe(
    `The certificate of ${target} is signed by an authority that this machine does not know.`,
  );
  expect(await told(['--upstream-ca', caFile])).toBe(
    `The certificate of ${target} is for app.internal, not for localhost.`,
  );
  expect(await told(['--upstream-ca', caFile, '--upstream-server-name', 'app.internal'])).toBe(200);
  expect(await told(['--upstream-insecure'])).toBe(200);
  // OpenSSL's setting for the system's authorities.
  expect(await told(['--upstream-server-name', 'app.internal'], {SSL_CERT_FILE: caFile})).toBe(200);
  const {ready} = await relay.expose(target, {
    flags: ['--upstream-ca', caFile, '--upstream-server-name', 'app.internal'],
  });
  const out = join(await scope.tempDir('big'), 'big');
  await get(scope, relay, `${ready.url}/big`, ['--output', out]);
  expect((await readFile(out)).equals(Buffer.alloc(BIG))).toBe(true);
});

test('a client certificate is shown to the upstream; without it tunl reports the reason', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {caFile, issue} = await opensslAuthority(scope);
  const port = await unusedPort();
  const server = await issue('localhost');
  const client = await issue('the agent');
  await startNginxAt(scope, 0, {
    listen: `127.0.0.1:${port} ssl`,
    place: {host: '127.0.0.1', port},
    settings: [
      `ssl_certificate ${server.certFile};`,
      `ssl_certificate_key ${server.keyFile};`,
      `ssl_client_certificate ${caFile};`,
      'ssl_verify_client on;',
    ],
  });
  const shows = ['--upstream-cert', client.certFile, '--upstream-key', client.keyFile];
  const with_ = await relay.expose(`https://localhost:${port}`, {flags: ['--upstream-ca', caFile, ...shows]});
  expect(await get(scope, relay, `${with_.ready.url}/`)).toMatchObject({code: 0, status: 200});
  const without = await relay.expose(`https://localhost:${port}`, {flags: ['--upstream-ca', caFile]});
  expect(await get(scope, relay, `${without.ready.url}/`)).toMatchObject({code: 0, status: 400});
  // openssl's own server ends the connection with an alert, which comes after the handshake (TLS 1.3).
  const strict = await unusedPort();
  const openssl = Child.start(scope, 'openssl', [
    ...['s_server', '-accept', `127.0.0.1:${strict}`, '-cert', server.certFile, '-key', server.keyFile],
    ...['-CAfile', caFile, '-Verify', '1', '-verify_return_error', '-www'],
  ]);
  await openssl.line((line) => line.startsWith('ACCEPT'));
  const refused = await relay.expose(`https://localhost:${strict}`, {flags: ['--upstream-ca', caFile]});
  expect(await get(scope, relay, `${refused.ready.url}/`)).toSatisfy(sawNoService);
  const {message} = await refused.cli.event('notice', ({code}) => code === 'UPSTREAM_TLS');
  expect(message).toContain('refused the TLS connection (certificate required)');
  expect(message).toContain('--upstream-cert');
});

test('HTTP/2 and WebSockets pass through a TLS upstream, each visitor with its own ALPN', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {caFile, issue} = await opensslAuthority(scope);
  const {certFile, keyFile} = await issue('localhost');
  const server = createSecureServer(
    {cert: await readFile(certFile), key: await readFile(keyFile), allowHTTP1: true},
    (request, response) => void response.end(`over ${request.httpVersion}`),
  );
  const sockets = new WebSocketServer({server: server as never});
  sockets.on('connection', (socket) =>
    socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary})),
  );
  const port = await scope.listen(server);
  const {ready} = await relay.expose(`https://localhost:${port}`, {
    flags: ['--upstream-ca', caFile, '--h2', '--http1'],
  });
  expect(await get(scope, relay, `${ready.url}/`, ['--http2'])).toMatchObject({body: 'over 2.0'});
  expect(await get(scope, relay, `${ready.url}/`, ['--http1.1'])).toMatchObject({body: 'over 1.1'});
  const tls = ready.tls ?? {host: '', port: 0};
  const socket = new WebSocket(`wss://127.0.0.1:${tls.port}/`, {
    agent: new Agent({ca: readFileSync(relay.caFile), servername: tls.host}),
    headers: {host: `${tls.host}:${tls.port}`, ...(await wayIn(scope, relay.caFile, ready.url))},
  });
  scope.onEnd(() => socket.terminate());
  await once(socket, 'open');
  for (const message of [Buffer.from('text'), Buffer.alloc(3_000_000, 7)]) {
    socket.send(message);
    const [echoed] = await once(socket, 'message');
    expect(Buffer.compare(echoed as Buffer, message)).toBe(0);
  }
});

test('a folder, a Unix socket and a TLS server in one command, downloaded from while the link is cut', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const {caFile, issue} = await opensslAuthority(scope);
  const {certFile, keyFile} = await issue('localhost');
  const folder = await scope.tempDir('site');
  const socket = join(folder, '.app.sock');
  const bytes = randomBytes(BIG);
  await writeFile(join(folder, 'big'), bytes);
  const port = await unusedPort();
  await startNginxAt(scope, BIG, {
    listen: `127.0.0.1:${port} ssl`,
    place: {host: '127.0.0.1', port},
    settings: [`ssl_certificate ${certFile};`, `ssl_certificate_key ${keyFile};`],
  });
  await startNginxAt(scope, BIG, {listen: `unix:${socket}`, place: {path: socket}});
  const targets = [`site-1=${folder}`, `app-1=unix:${socket}`, `tls-1=https://localhost:${port}`];
  const cli = await startCli(scope, ['expose', ...targets, '--upstream-ca', caFile, '--json'], {
    env: {...relay.env, TUNL_RELAY: `https://${relay.domain}:${proxy.port}`},
  });
  const out = await scope.tempDir('out');
  const downloads = ['site-1', 'app-1', 'tls-1'].map(async (name) => {
    const {url} = await cli.event('ready', ({tunnel}) => tunnel === name);
    // So slow that all cuts happen during it.
    const got = await get(scope, relay, `${url}/big`, ['--limit-rate', '5M', '--output', join(out, name)]);
    expect(got).toMatchObject({code: 0, status: 200});
    const expected = name === 'site-1' ? bytes : Buffer.alloc(BIG);
    expect((await readFile(join(out, name))).equals(expected)).toBe(true);
  });
  await cli.event('connection', ({state, tunnel}) => state === 'open' && tunnel === 'tls-1');
  for (let cut = 1; cut <= 3; cut += 1) {
    proxy.reset();
    await cli.event('resumed', () => cli.events.filter(({type}) => type === 'resumed').length >= cut);
  }
  await Promise.all(downloads);
});

test('a server without TLS: the message says that it does not speak TLS', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const port = await unusedPort();
  await startNginxAt(scope, 0, {listen: `127.0.0.1:${port}`, place: {host: '127.0.0.1', port}});
  const {cli, ready} = await relay.expose(`https://localhost:${port}`);
  expect(await get(scope, relay, `${ready.url}/`)).toSatisfy(sawNoService);
  const {message} = await cli.event('notice', ({code}) => code === 'UPSTREAM_TLS');
  expect(message).toContain('does not speak TLS');
  // The same server by its http URL.
  const plain = await relay.expose(`http://localhost:${port}/`);
  expect(plain.ready.upstream).toBe(`localhost:${port}`);
  expect(await get(scope, relay, `${plain.ready.url}/`)).toMatchObject({code: 0, status: 200});
});
