// Gates in front of a port whose connections are streams of a session, as those of a sandbox or of a member are.

import {once} from 'node:events';
import {createServer, type RequestListener} from 'node:http';
import {connect as connectHttp2, createServer as createHttp2Server} from 'node:http2';
import {connect, type Server} from 'node:net';
import {pipeline} from 'node:stream/promises';
import {expect} from 'vitest';
import type {TunnelGatesOptions} from '../../../../../src/lib/agent/upstreams/gated/tunnel-gates.js';
import {PortUpstream} from '../../../../../src/lib/agent/upstreams/port.js';
import {StreamDuplex} from '../../../../../src/lib/bytes/stream-duplex.js';
import {openLocalSession} from '../../../../../src/lib/carrier/local-session.js';
import type {Stream} from '../../../../../src/lib/mux/stream.js';
import {KIND} from '../../../../../src/lib/protocol/wire.js';
import {get, HOST, startGated} from '../../../../helpers/gated.js';
import {socketPair} from '../../../../helpers/init.js';
import type {Scope} from '../../../../helpers/scope.js';
import {test} from '../../../../helpers/test.js';

/** The other end joins each stream with a connection to the server. */
async function behindStreams(scope: Scope, server: Server, options: Partial<TunnelGatesOptions>) {
  const port = await scope.listen(server);
  const [near, far] = await socketPair(scope);
  const sink = {onControl: () => {}, onEnded: () => {}};
  const here = openLocalSession({
    socket: near,
    role: 'relay',
    sink: {...sink, onOpen: (stream) => stream.refuse('KIND_UNKNOWN')},
  });
  const join = (stream: Stream) => {
    const duplex = new StreamDuplex(stream);
    stream.accept();
    const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    pipeline(duplex, socket).catch(() => {});
    pipeline(socket, duplex).catch(() => {});
  };
  const there = openLocalSession({socket: far, role: 'agent', sink: {...sink, onOpen: join}});
  scope.onEnd(() => {
    here.close();
    there.close();
  });
  const upstream = new PortUpstream('port 80 of a member', 80, async () => {
    return new StreamDuplex(here.open(KIND.service, {}) as Stream);
  });
  return startGated(scope, upstream, options);
}

const http1 = (scope: Scope, serve: RequestListener) =>
  behindStreams(scope, createServer(serve), {forwarded: true});

test('an answer that keeps the connection is followed by the next one on it', async ({scope}) => {
  const ports = new Set<number | undefined>();
  const {visit} = await http1(scope, (request, response) => {
    ports.add(request.socket.remotePort);
    response.end(`answer to ${request.url}`);
  });
  const visitor = await visit();
  for (const path of ['/one', '/two', '/three']) {
    visitor.socket.write(get(path));
    await visitor.hears(new RegExp(`answer to ${path}`));
  }
  expect(ports.size).toBe(1);
});

test('an answer goes on after the time in which a connection is young', async ({scope}) => {
  const {visit} = await http1(scope, (_, response) => {
    response.write('begins');
    setTimeout(() => response.end(', and ends'), 1_200);
  });
  const visitor = await visit();
  visitor.socket.write(get('/'));
  await visitor.hears(/begins/);
  await visitor.hears(/, and ends/);
});

test('an upstream of HTTP/2 that ends its connection ends that of the visitor', async ({scope}) => {
  const server = createHttp2Server();
  server.on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({':status': 200});
    stream.end('hello');
    const {session} = stream;
    stream.once('close', () => session?.destroy());
  });
  const {visit} = await behindStreams(scope, server as unknown as Server, {forwarded: true, h2: true});
  const {socket} = await visit({alpn: 'h2'});
  socket.removeAllListeners('data');
  const session = connectHttp2(`https://${HOST}`, {createConnection: () => socket});
  session.on('error', () => {});
  scope.onEnd(() => session.destroy());
  const request = session.request({':path': '/'});
  let body = '';
  request.on('data', (piece) => (body += piece));
  await once(request, 'end');
  expect(body).toBe('hello');
  if (!session.closed) await once(session, 'close');
});
