// The connection of `tunl connect`: bytes that the tunnel sent before it broke are read, although a write has failed already.

import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {createServer as createHttpServer} from 'node:http';
import {connect, type Socket} from 'node:net';
import {join} from 'node:path';
import {createServer, type TLSSocket} from 'node:tls';
import {expect} from 'vitest';
import {visit} from '../../src/lib/visit.js';
import {createAuthority} from '../helpers/certificates.js';
import {dialOrder} from '../helpers/dial-order.js';
import {test} from '../helpers/test.js';
import {record} from '../helpers/upstreams.js';

test('an early answer is read to its end before the connection breaks', async ({scope}) => {
  const authority = await createAuthority();
  const caFile = join(await scope.tempDir('ca'), 'ca.pem');
  await writeFile(caFile, authority.cert);
  const server = createServer(await authority.issue(['demo.localhost']));
  const port = await scope.listen(server);
  const accepted = once(server, 'connection');
  const secure = once(server, 'secureConnection');
  const client = await visit({host: 'demo.localhost', port, caFile});
  const heard = record(client);
  const [raw] = await accepted;
  const [answering] = (await secure) as [TLSSocket];
  answering.on('error', () => {});
  const said = Promise.withResolvers<void>();
  answering.write('no more, please', () => said.resolve());
  await said.promise;
  // Its kernel has both, and nothing of it was read yet, when the client writes again.
  raw.resetAndDestroy();
  client.write('still more');
  expect(await heard.closed).toBe('ECONNRESET');
  expect(heard.data().toString()).toBe('no more, please');
});

test('the relay does not wait while the authorities of this machine are read', async ({scope}) => {
  const authority = await createAuthority('Another');
  const caFile = join(await scope.tempDir('ca'), 'ca.pem');
  await writeFile(caFile, authority.cert);
  const port = await scope.listen(createServer(await authority.issue(['demo.localhost'])));
  const order = dialOrder(scope);
  (await visit({host: 'demo.localhost', port, caFile})).destroy();
  expect(order).toEqual(['context', 'connection']);
});

test('through an HTTP proxy, with both ends; the name is resolved there', async ({scope}) => {
  const authority = await createAuthority();
  const caFile = join(await scope.tempDir('ca'), 'ca.pem');
  await writeFile(caFile, authority.cert);
  const server = createServer({...(await authority.issue(['demo.invalid'])), allowHalfOpen: true});
  server.on('secureConnection', (socket) => {
    const heard = record(socket);
    socket.on('end', () => socket.end(`heard ${heard.data().toString()}`));
  });
  const target = await scope.listen(server);
  const asked: string[] = [];
  const proxy = createHttpServer();
  proxy.on('connect', (req, near: Socket) => {
    asked.push(req.url ?? '');
    const far = scope.own(connect({port: target, host: '127.0.0.1', allowHalfOpen: true}));
    near.allowHalfOpen = true;
    near.write('HTTP/1.1 200 OK\r\n\r\n');
    near.pipe(far);
    far.pipe(near);
  });
  const port = await scope.listen(proxy);
  const env = {HTTPS_PROXY: `http://127.0.0.1:${port}`};
  const client = await visit({host: 'demo.invalid', port: 443, caFile, env});
  const heard = record(client);
  client.end('hello');
  await heard.closed;
  expect(heard.data().toString()).toBe('heard hello');
  expect(asked).toEqual(['demo.invalid:443']);
});
