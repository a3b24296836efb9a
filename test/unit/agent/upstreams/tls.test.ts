// A TLS server as an upstream: half-closes and resets reach it, and a cancelled dial is gone.

import {once} from 'node:events';
import {createServer as createTcpServer, type Socket} from 'node:net';
import {createServer, type TLSSocket} from 'node:tls';
import {expect} from 'vitest';
import {type TlsSettings, TlsUpstream} from '../../../../src/lib/agent/upstreams/tls.js';
import type {UpstreamConnection} from '../../../../src/lib/agent/upstreams/upstream.js';
import type {TunlError} from '../../../../src/lib/core/errors.js';
import {createAuthority, selfSigned} from '../../../helpers/certificates.js';
import {dialOrder} from '../../../helpers/dial-order.js';
import {Scope, unusedPort} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

/** A server for `localhost`, an upstream that trusts it, and the sockets that the server accepts. */
async function setUp(scope: Scope, settings: TlsSettings = {}) {
  const ca = await createAuthority();
  const server = createServer({
    ...(await ca.issue(['localhost'])),
    allowHalfOpen: true,
    ALPNProtocols: ['h2', 'http/1.1'],
  });
  const port = await scope.listen(server);
  const upstream = new TlsUpstream({host: 'localhost', port}, {ca: ca.cert, ...settings});
  const accepted = async () => (await once(server, 'secureConnection'))[0] as TLSSocket;
  return {server, upstream, accepted, ca, port};
}

function dial(upstream: TlsUpstream, alpn?: string): Promise<UpstreamConnection> {
  return new Promise((resolve, reject) => {
    upstream.dial({alpn, reader: () => expect.fail('read by events'), onOpen: resolve, onFailed: reject});
  });
}

test('a half-close passes, and later bytes of the other direction', async ({scope}) => {
  const {upstream, accepted} = await setUp(scope);
  const [{socket}, server] = await Promise.all([dial(upstream), accepted()]);
  let asked = '';
  server.on('data', (chunk) => (asked += String(chunk)));
  server.on('end', () => server.end(`heard ${asked}`));
  socket.end('to the end');
  expect(String((await once(socket, 'data'))[0])).toBe('heard to the end');
  await once(socket, 'close');
});

test('an upstream that has sent everything still gets the rest of the visitor’s bytes', async ({scope}) => {
  const {upstream, accepted} = await setUp(scope);
  const [{socket}, server] = await Promise.all([dial(upstream), accepted()]);
  let heard = '';
  server.on('data', (chunk) => (heard += String(chunk)));
  server.end('all of it');
  socket.resume();
  await once(socket, 'end');
  socket.write('and ');
  await once(server, 'data');
  socket.end('more');
  await once(server, 'end');
  expect(heard).toBe('and more');
});

test('a reset reaches the upstream as a reset', async ({scope}) => {
  const {upstream, accepted} = await setUp(scope);
  const [{socket, reset}, server] = await Promise.all([dial(upstream), accepted()]);
  // Unread bytes would make every end a reset.
  socket.on('error', () => {}).resume();
  server.write('answer');
  await once(socket, 'data');
  socket.write('half a requ');
  await once(server, 'data');
  const broken = once(server, 'error');
  reset();
  expect((await broken)[0]).toMatchObject({code: 'ECONNRESET'});
});

test('the upstream gets the visitor’s protocol in ALPN, and its own name', async ({scope}) => {
  const {upstream, accepted} = await setUp(scope);
  for (const alpn of ['h2', 'http/1.1', undefined]) {
    const [{socket}, server] = await Promise.all([dial(upstream, alpn), accepted()]);
    expect([server.alpnProtocol, (server as {servername?: string}).servername]).toEqual([
      alpn ?? false,
      'localhost',
    ]);
    socket.destroy();
  }
});

test('when the visitor leaves, the dial of an upstream that accepts and sends nothing ends', async ({
  scope,
}) => {
  const server = createTcpServer();
  const port = await scope.listen(server);
  const stop = new TlsUpstream({host: '127.0.0.1', port}).dial({
    reader: () => expect.fail('read'),
    onOpen: () => expect.fail('opened'),
    onFailed: () => expect.fail('failed'),
  });
  const [socket] = (await once(server, 'connection')) as [Socket];
  socket.on('error', () => {});
  await once(socket, 'data');
  stop();
  socket.resume();
  await once(socket, 'close');
});

test('an upstream that ends during the handshake has refused the connection', async ({scope}) => {
  const server = createTcpServer((socket) => socket.once('data', () => socket.end()));
  const port = await scope.listen(server);
  await expect(dial(new TlsUpstream({host: '127.0.0.1', port}))).rejects.toMatchObject({code: 'ECONNRESET'});
});

test('an open port is enough only after a successful handshake', async ({scope}) => {
  const {upstream, port, ca} = await setUp(scope);
  expect(await upstream.listenState()).toBe('unknown');
  expect(await upstream.probe()).toBeUndefined();
  if (process.platform === 'linux') expect(await upstream.listenState()).toBe('listening');
  const other = new TlsUpstream({host: '127.0.0.1', port}, {ca: ca.cert});
  expect(await other.probe()).toMatchObject({
    code: 'UPSTREAM_CERTIFICATE',
    message: `The certificate of https://127.0.0.1:${port} is for localhost, not for 127.0.0.1.`,
  });
  expect(await other.listenState()).toBe('unknown');
  const nobody = await unusedPort();
  expect(await new TlsUpstream({host: '127.0.0.1', port: nobody}).probe()).toMatchObject({
    code: 'ECONNREFUSED',
  });
});

test('no upstream waits while the authorities of this machine are read', async ({scope}) => {
  const port = await scope.listen(createServer(await selfSigned(['localhost'])));
  const order = dialOrder(scope);
  const upstream = new TlsUpstream({host: '127.0.0.1', port});
  expect(await upstream.probe()).toMatchObject({code: 'UPSTREAM_CERTIFICATE'});
  expect(order).toEqual(['context', 'connection', 'context', 'connection']);
});

test.each([
  ['self-signed', {}, 'is self-signed and not among the trusted ones.'],
  ['expired', {notBefore: new Date(0), notAfter: new Date(86_400_000)}, 'has expired.'],
])('a certificate that is %s is reported with that reason', async (_what, dates, reason) => {
  await using scope = new Scope();
  const pair = await selfSigned(['localhost'], dates);
  const port = await scope.listen(createServer(pair));
  const trusts = 'notAfter' in dates ? {ca: pair.cert} : {};
  const error = (await new TlsUpstream({host: 'localhost', port}, trusts).probe()) as TunlError;
  expect([error.code, error.message]).toEqual([
    'UPSTREAM_CERTIFICATE',
    `The certificate of https://localhost:${port} ${reason}`,
  ]);
});
