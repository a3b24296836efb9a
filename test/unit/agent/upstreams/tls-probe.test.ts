// Whether a service that was given without TLS speaks it, asked of real servers.

import {createServer as createHttpServer} from 'node:http';
import {createServer as createHttpsServer} from 'node:https';
import {createServer, type Server} from 'node:net';
import {join} from 'node:path';
import {createServer as createTlsServer} from 'node:tls';
import {expect, test} from 'vitest';
import {TcpUpstream} from '../../../../src/lib/agent/upstreams/tcp.js';
import {UnixUpstream} from '../../../../src/lib/agent/upstreams/unix.js';
import {createAuthority, selfSigned} from '../../../helpers/certificates.js';
import {Scope, unusedPort} from '../../../helpers/scope.js';

const own = await selfSigned(['app.internal']);
const ca = (await createAuthority()).cert;

test.each<[string, () => Server, boolean]>([
  ['an HTTPS server', () => createHttpsServer(own), true],
  [
    'one that requires a client certificate',
    () => createTlsServer({...own, ca, requestCert: true, maxVersion: 'TLSv1.2'}),
    true,
  ],
  [
    'one that knows no such name',
    () => createServer((socket) => void socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 112]))),
    true,
  ],
  ['an HTTP server', () => createHttpServer(), false],
  ['one that closes', () => createServer((socket) => void socket.end()), false],
  ['one that resets', () => createServer((socket) => void socket.resetAndDestroy()), false],
  ['one that greets', () => createServer((socket) => void socket.end('SSH-2.0-x\r\n')), false],
])('%s', async (_what, start, expected) => {
  await using scope = new Scope();
  const server = start();
  server.on('tlsClientError', () => {});
  const port = await scope.listen(server);
  expect(await new TcpUpstream({host: 'localhost', port}).speaksTls()).toBe(expected);
});

test('a Unix socket, and a port where nobody listens', async () => {
  await using scope = new Scope();
  const path = join(await scope.tempDir('app'), 'app.sock');
  const server = createHttpsServer(own);
  scope.onEnd(() => void server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  expect(await new UnixUpstream(path).speaksTls()).toBe(true);
  expect(await new TcpUpstream({host: 'localhost', port: await unusedPort()}).speaksTls()).toBe(false);
});
