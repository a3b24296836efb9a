// HTTP/1 through a gate: bodies, 1xx, trailers, `Expect`, event streams, half-closes, upgrades, and the ends of both sides.

import {once} from 'node:events';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import {createServer as createTcpServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import {WebSocketServer} from 'ws';
import {get, HOST, startGated} from '../../../../helpers/gated.js';
import {type Scope, unusedPort} from '../../../../helpers/scope.js';
import {test} from '../../../../helpers/test.js';

async function setUp(scope: Scope, serve: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(serve);
  return {server, ...startGated(scope, await scope.listen(server), {forwarded: true})};
}

/** An upstream that answers by hand. */
async function rawUpstream(scope: Scope) {
  const server = createTcpServer({allowHalfOpen: true});
  const gated = startGated(scope, await scope.listen(server), {forwarded: true});
  return {...gated, accepted: async () => (await once(server, 'connection'))[0] as Socket};
}

test('a body of megabytes passes in both directions', async ({scope}) => {
  const {say} = await setUp(scope, (request, response) => request.pipe(response));
  const size = 3_000_000;
  const head = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`;
  expect((await say(head + 'x'.repeat(size))).match(/x/g)?.length).toBe(size);
});

test('an upstream that does not read stops the visitor', async ({scope}) => {
  const {visit, accepted} = await rawUpstream(scope);
  const {socket} = await visit();
  const upstream = accepted();
  const size = 64_000_000;
  socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${size}\r\n\r\n`);
  for (let sent = 0; sent < size; sent += 1_000_000) socket.write(Buffer.alloc(1_000_000, 'x'));
  const raw = await upstream;
  for (let turns = 0; turns < 3_000; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  // The rest is in the kernel's buffers.
  expect(socket.writableLength).toBeGreaterThan(size / 2);
  let bytes = 0;
  raw.on('data', (piece: Buffer) => (bytes += piece.length));
  while (bytes < size) await once(raw, 'data');
});

test('trailers pass in both directions', async ({scope}) => {
  const {say} = await setUp(scope, (request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, {trailer: 'x-sum', connection: 'close'});
      response.write(JSON.stringify(request.rawTrailers));
      response.addTrailers([['X-Sum', '42']]);
      response.end();
    });
  });
  const answer = await say(
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n3\r\nabc\r\n0\r\nX-Check: 7\r\n\r\n`,
  );
  expect(answer).toContain('["X-Check","7"]');
  expect(answer).toMatch(/0\r\nX-Sum: 42\r\n\r\n$/);
});

test('trailers of a visitor cannot be what only a gate or one connection may write', async ({scope}) => {
  const {say} = await setUp(scope, (request, response) => {
    response.setHeader('connection', 'close');
    request.resume().on('end', () => response.end(JSON.stringify(request.rawTrailers)));
  });
  const trailers = [
    ...[
      'Tunl-Visitor: root',
      'tunl_visitor: root',
      'Tunl-Access: x',
      'X-Forwarded-For: 10.0.0.1',
      'x_real_ip: 10.0.0.1',
    ],
    ...['Connection: X-Hop', 'X-Hop: 1', 'Keep-Alive: timeout=5', 'X-Check: 7'],
  ].join('\r\n');
  const answer = await say(
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n${trailers}\r\n\r\n`,
  );
  expect(answer).toContain('["X-Check","7"]');
});

test('100 Continue comes from the upstream, and so does a refusal without it', async ({scope}) => {
  const server = createServer((request, response) => request.pipe(response));
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url === '/no') {
      response.writeHead(417, {connection: 'close'}).end('not so much');
      return;
    }
    response.writeContinue();
    request.pipe(response);
  });
  const {visit} = startGated(scope, await scope.listen(server), {forwarded: true});
  const head = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`;
  const yes = await visit();
  yes.socket.write(head('/yes'));
  await yes.hears(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  yes.socket.write('body');
  await yes.hears(/HTTP\/1\.1 200 OK[\s\S]*body/);
  const no = await visit();
  no.socket.write(head('/no'));
  await no.hears(/^HTTP\/1\.1 417 [\s\S]*not so much/);
});

test('other 1xx answers pass before the last one', async ({scope}) => {
  const {say} = await setUp(scope, (_request, response) => {
    response.writeEarlyHints({link: '</a.css>; rel=preload', 'x-own': 'kept'});
    response.writeHead(200, {connection: 'close'}).end('whole');
  });
  expect(await say(get('/'))).toMatch(
    /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a.css>; rel=preload\r\nx-own: kept\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
  );
  expect(await say(`GET / HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
});

test('events arrive one by one, and the upstream sees that the visitor leaves', async ({scope}) => {
  const responses: ServerResponse[] = [];
  const {visit, server} = await setUp(scope, (_request, response) => {
    response.writeHead(200, {'content-type': 'text/event-stream'}).flushHeaders();
    responses.push(response);
  });
  const {socket, hears} = await visit();
  const asked = once(server, 'request');
  socket.write(get('/'));
  await asked;
  // The head comes before the first event.
  await hears(/\r\n\r\n$/);
  for (const text of ['one', 'two']) {
    responses[0]?.write(`data: ${text}\n\n`);
    await hears(new RegExp(`data: ${text}`));
  }
  const left = once(responses[0] as ServerResponse, 'close');
  socket.destroy();
  await left;
});

test('a visitor who has half-closed after its request gets the whole answer', async ({scope}) => {
  const {visit, server} = await setUp(scope, () => {});
  const {socket, hears, closed} = await visit();
  const asked = once(server, 'request');
  socket.end(get('/'));
  const [, response] = (await asked) as [IncomingMessage, ServerResponse];
  response.write('first ');
  await hears(/first/);
  response.end('last');
  await hears(/last\r\n0\r\n\r\n$/);
  await closed;
});

test('HTTP/1.0: no chunks, and the end of the connection ends the answer', async ({scope}) => {
  const {say} = await setUp(scope, (request, response) => {
    response.write(`for ${request.headers.host} `);
    response.end('whole');
  });
  const answer = await say('GET / HTTP/1.0\r\n\r\n');
  expect(answer).toMatch(/\r\n\r\nfor demo\.r1\.test whole$/);
  expect(answer).not.toMatch(/chunked/i);
});

test.for([
  ['GET', [], ''],
  ['HEAD', [], ''],
  ['DELETE', [], ''],
  ['OPTIONS', [], ''],
  ['POST', ['Content-Length: 0'], ''],
  ['POST', [], ''],
  ['PUT', ['Content-Length: 3'], 'abc'],
  ['GET', ['Content-Length: 3'], 'abc'],
  ['DELETE', ['Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n'],
  ['PROPFIND', ['Transfer-Encoding: chunked'], '0\r\n\r\n'],
] as const)('%s %j keeps its form', async ([method, headers, body], {scope}) => {
  const {visit, accepted} = await rawUpstream(scope);
  const {socket, hears} = await visit();
  const upstream = accepted();
  socket.write(get('/', headers, method) + body);
  const raw = await upstream;
  let seen = '';
  raw.on('data', (piece) => (seen += piece));
  const whole = new RegExp(`\\r\\n\\r\\n${body}$`);
  while (!whole.test(seen)) await once(raw, 'data');
  expect(seen.startsWith(`${method} / HTTP/1.1\r\nHost: ${HOST}\r\n`)).toBe(true);
  const framing = seen.match(/^(content-length|transfer-encoding): .*/gim) ?? [];
  const isEmptyPost = method === 'POST';
  expect(framing).toEqual(isEmptyPost ? ['Content-Length: 0'] : headers);
  raw.write('HTTP/1.1 204 No Content\r\nX-One: a\r\nx-one: b\r\nSet-Cookie: c=1\r\nSet-Cookie: d=2\r\n\r\n');
  const answer = await hears(/\r\n\r\n$/);
  // Order, spelling and repetitions stay.
  expect(answer).toContain('X-One: a\r\nx-one: b\r\nSet-Cookie: c=1\r\nSet-Cookie: d=2\r\n');
  // The same connection serves the next request.
  const more = once(raw, 'data');
  socket.write(get('/next'));
  expect(String((await more)[0])).toContain('GET /next HTTP/1.1');
});

test('pipelined requests are answered in order, over one connection to the upstream', async ({scope}) => {
  const {visit, server} = await setUp(
    scope,
    (request, response) =>
      void setTimeout(() => response.end(`[${request.url}]`), request.url === '/1' ? 30 : 0),
  );
  let connections = 0;
  server.on('connection', () => (connections += 1));
  const {socket, hears} = await visit();
  socket.write(get('/1') + get('/2') + get('/3'));
  expect((await hears(/\/3/)).match(/\[\/\d\]/g)).toEqual(['[/1]', '[/2]', '[/3]']);
  expect(connections).toBe(1);
});

test('an answer that breaks off in the upstream breaks off for the visitor', async ({scope}) => {
  const {visit, accepted} = await rawUpstream(scope);
  for (const end of ['end', 'reset'] as const) {
    const {socket, hears, closed} = await visit();
    const upstream = accepted();
    let isWhole = false;
    socket.once('end', () => (isWhole = true));
    socket.write(get('/'));
    const raw = await upstream;
    raw.on('error', () => {}).resume();
    raw.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart');
    await hears(/part$/);
    if (end === 'end') raw.end();
    else raw.resetAndDestroy();
    await closed;
    expect(isWhole).toBe(false);
  }
});

test('an upstream that ends a quiet connection ends the visitor’s', async ({scope}) => {
  const {visit, accepted} = await rawUpstream(scope);
  const {socket, hears} = await visit();
  const upstream = accepted();
  socket.write(get('/'));
  const raw = await upstream;
  raw.resume().write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  await hears(/\r\n\r\n$/);
  const over = once(socket, 'end');
  raw.end();
  await over;
});

test('a visitor’s reset reaches the upstream as a reset', async ({scope}) => {
  const {visit, accepted} = await rawUpstream(scope);
  const visitor = await visit();
  const upstream = accepted();
  visitor.socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 10\r\n\r\nab`);
  const raw = await upstream;
  raw.resume();
  await once(raw, 'data');
  const broken = once(raw, 'error');
  visitor.reset();
  expect((await broken)[0]).toMatchObject({code: 'ECONNRESET'});
});

test('an upgrade carries bytes and half-closes both ways; one that is declined gets its answer', async ({
  scope,
}) => {
  const {visit, accepted} = await rawUpstream(scope);
  const {socket, hears} = await visit();
  const upstream = accepted();
  const asks = get('/ws', ['Connection: keep-alive, Upgrade', 'Upgrade: WebSocket', 'Sec-WebSocket-Key: x']);
  socket.write(asks);
  const raw = await upstream;
  const [head] = await once(raw, 'data');
  expect(String(head)).toMatch(
    /Sec-WebSocket-Key: x\r\n[\s\S]*Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n$/,
  );
  raw.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n~early');
  await hears(
    /^HTTP\/1\.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n~early$/,
  );
  socket.write('GET / HTTP/1.1\r\n\r\n');
  expect(String((await once(raw, 'data'))[0])).toBe('GET / HTTP/1.1\r\n\r\n');
  socket.end('bye');
  expect(String((await once(raw, 'data'))[0])).toBe('bye');
  await once(raw, 'end');
  raw.end('later');
  await hears(/later$/);
  await once(socket, 'close');
  const declined = await visit();
  const next = accepted();
  declined.socket.write(asks);
  (await next).resume().end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
  await declined.hears(/^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*\r\n\r\nno$/);
});

test.for([
  ['reset', (raw: Socket) => raw.resetAndDestroy()],
  ['bad chunk', (raw: Socket) => raw.write('ZZZZ\r\n')],
  ['end', (raw: Socket) => raw.end()],
] as const)(
  'an answer to an upgrade that breaks off (%s) ends that visitor alone',
  async ([, breakOff], {scope}) => {
    const {visit, say, accepted} = await rawUpstream(scope);
    const {socket, heard, hears, closed} = await visit();
    const upstream = accepted();
    let isWhole = false;
    socket.once('end', () => (isWhole = true));
    socket.write(get('/ws', ['Connection: Upgrade', 'Upgrade: websocket']));
    const raw = await upstream;
    raw.on('error', () => {}).resume();
    raw.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await hears(/hello\r\n$/);
    breakOff(raw);
    await closed;
    expect([isWhole, heard().match(/HTTP\/1\.1/g)?.length]).toEqual([false, 1]);
    const next = accepted();
    const answer = say(get('/', ['Connection: close']));
    (await next).resume().end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstill');
    expect(await answer).toContain('still');
  },
);

test('a WebSocket is checked, ends with its link, and its upstream sees no token', async ({scope}) => {
  const server = createServer();
  const sockets = new WebSocketServer({server});
  const {visit, say, gates} = startGated(scope, await scope.listen(server));
  const {id, url} = gates.share();
  const ws = (path: string) =>
    get(path, [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]);
  expect(await say(ws('/'))).toMatch(/^HTTP\/1\.1 401 /);
  const {socket, hears, closed} = await visit();
  const opened = once(sockets, 'connection');
  socket.write(ws(`/live?tunl=${url.split('tunl=')[1]}`));
  await hears(/^HTTP\/1\.1 101 /);
  const [upstream, request] = await opened;
  expect(request.url).toBe('/live');
  const gone = once(upstream, 'close');
  gates.revoke(id);
  await Promise.all([closed, gone]);
});

test('an upstream that is down gets a page or JSON, and is reported', async ({scope}) => {
  const port = await unusedPort();
  const plain = startGated(scope, port, {forwarded: true});
  expect(await plain.say(get('/'))).toMatch(/^HTTP\/1\.1 502 [\s\S]*UPSTREAM_REFUSED/);
  expect(plain.dialled).toEqual([expect.objectContaining({code: 'ECONNREFUSED'})]);
  const paged = startGated(scope, port, {forwarded: true, offlinePage: true});
  expect(await paged.say(get('/', ['Accept: text/html']))).toMatch(
    /^HTTP\/1\.1 503 [\s\S]*retry-after: 3[\s\S]*http-equiv="refresh"/,
  );
  const waiting = startGated(scope, port, {forwarded: true, waitMs: 60_000});
  const answer = waiting.say(get('/', ['Connection: close']));
  const server = createServer((_request, response) => response.end('there now'));
  await scope.listen(server, '127.0.0.1', port);
  expect(await answer).toContain('there now');
});

test('what a visitor or an upstream sends cannot throw in the gate', async ({scope}) => {
  const {visit, say, accepted} = await rawUpstream(scope);
  // `Trailer` without chunks is an error of Node's own, on both sides.
  for (const headers of [['Trailer: X'], ['Trailer: X', 'Content-Length: 0']]) {
    const upstream = accepted();
    const answer = say(get('/', [...headers, 'Connection: close'], headers.length > 1 ? 'POST' : 'GET'));
    (await upstream).resume().end('HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nin');
    expect(await answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*in$/);
  }
  for (const [asked, reply] of [
    ['HEAD / HTTP/1.1', 'HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n'],
    [
      'GET / HTTP/1.0',
      'HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n',
    ],
    ['GET / HTTP/1.1', 'HTTP/1.1 200 \x01\x7f\xff\r\nContent-Length: 0\r\n\r\n'],
    ['GET / HTTP/1.1', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'],
    [
      'GET / HTTP/1.1',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 X\r\nA: b\r\n\r\nHTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n',
    ],
    ['GET / HTTP/1.1', 'HTTP/1.1 999 X\r\nX: \xff\xfe\r\nContent-Length: 0\r\n\r\n'],
    ['GET / HTTP/1.1', 'HTTP/1.1 99 X\r\n\r\n'],
    ['GET / HTTP/1.1', 'nonsense\r\n\r\n'],
    ['GET / HTTP/1.1', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(300_000)}\r\n\r\n`],
    ['GET / HTTP/1.1', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ] as const) {
    const visitor = await visit();
    const upstream = accepted();
    visitor.socket.write(`${asked}\r\nHost: ${HOST}\r\n\r\n`);
    (await upstream)
      .on('error', () => {})
      .resume()
      .end(Buffer.from(reply, 'latin1'));
    // Some answer, or the end of the connection.
    await Promise.race([visitor.closed, once(visitor.socket, 'end'), visitor.hears(/\r\n\r\n/)]);
    visitor.socket.destroy();
  }
  const upstream = accepted();
  const answer = say(get('/', ['Connection: close']));
  (await upstream).resume().end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstill');
  expect(await answer).toContain('still');
});
