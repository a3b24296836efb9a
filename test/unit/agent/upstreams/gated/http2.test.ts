// HTTP/2 through a gate: each stream is decided about, trailers and resets pass, and revoked links end it.

import {once} from 'node:events';
import {createServer as createHttp1} from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import {expect, vi} from 'vitest';
import {badNames} from '../../../../helpers/bad-names.js';
import {HOST, startGated} from '../../../../helpers/gated.js';
import type {Scope} from '../../../../helpers/scope.js';
import {test} from '../../../../helpers/test.js';

type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

async function setUp(scope: Scope, serve: Serve) {
  const server: Http2Server = createServer();
  const seen: IncomingHttpHeaders[] = [];
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    seen.push(headers);
    serve(stream, headers);
  });
  const gated = startGated(scope, await scope.listen(server), {isPrivate: true, h2: true});
  const session = async (alpn: string | undefined = 'h2'): Promise<ClientHttp2Session> => {
    const {socket} = await gated.visit(alpn === undefined ? {} : {alpn});
    socket.removeAllListeners('data');
    const made = connect(`https://${HOST}`, {createConnection: () => socket});
    made.on('error', () => {});
    scope.onEnd(() => made.destroy());
    return made;
  };
  return {...gated, server, seen, session};
}

interface Answer {
  headers: IncomingHttpHeaders;
  trailers?: IncomingHttpHeaders;
  body: string;
  code: number;
}

async function ask(session: ClientHttp2Session, headers: object, body = ''): Promise<Answer> {
  const stream = session.request({':path': '/', ...headers}, {endStream: body === ''});
  stream.on('error', () => {});
  const answer: Answer = {headers: {}, body: '', code: 0};
  stream.on('response', (got) => (answer.headers = got));
  stream.on('trailers', (got) => (answer.trailers = got));
  stream.on('data', (piece) => (answer.body += piece));
  if (body !== '') stream.end(body);
  stream.resume();
  await once(stream, 'close').catch(() => {});
  return {...answer, code: stream.rstCode};
}

test('each stream needs the token, in any of its places, and the upstream sees none', async ({scope}) => {
  const {session, token, seen} = await setUp(scope, (stream) => {
    stream.respond({':status': 200, 'set-cookie': ['a=1', 'b=2'], 'x-own': 'kept'});
    stream.end('in');
  });
  const http = await session();
  expect(await ask(http, {})).toMatchObject({
    headers: {':status': 401},
    body: expect.stringContaining('LINK_NEEDED'),
  });
  expect(await ask(http, {accept: 'text/html'})).toMatchObject({
    body: expect.stringContaining('<h1>This page is private'),
  });
  expect(seen).toEqual([]);
  const forms = [
    {authorization: `Bearer ${token}`},
    {'tunl-access': token},
    {':path': `/a?x=1&tunl=${token}`},
    {
      authorization: `Bearer ${token}`,
      'tunl-visitor': 'root',
      cookie: ['own=1', '__Host-tunl-link-0=x', 'last=2'],
    },
  ];
  for (const headers of forms)
    expect(await ask(http, headers)).toMatchObject({
      headers: {':status': 200, 'set-cookie': ['a=1', 'b=2'], 'x-own': 'kept'},
      body: 'in',
      code: 0,
    });
  expect(JSON.stringify(seen)).not.toContain(token);
  expect(seen.map((headers) => headers['tunl-visitor'])).toEqual(['link', 'link', 'link', 'link']);
  expect(seen.at(-1)?.cookie).toMatch(/^own=1; ?last=2$/);
  expect(seen[2]?.[':path']).toBe('/a?x=1');
  const welcome = await ask(http, {':path': `/?tunl=${token}`, accept: 'text/html'});
  expect(welcome.headers).toMatchObject({':status': 303, location: `https://${HOST}:443/`});
  const cookie = welcome.headers['set-cookie']?.[0]?.split(';')[0];
  expect(await ask(http, {cookie})).toMatchObject({headers: {':status': 200}});
  // Refused streams leave the session as it was.
  expect(await ask(http, {})).toMatchObject({headers: {':status': 401}});
});

test('trailers pass in both directions, and an answer of trailers alone', async ({scope}) => {
  const {session, token, seen} = await setUp(scope, (stream, headers) => {
    if (headers[':path'] === '/alone') {
      stream.respond({':status': 200, 'grpc-status': '5'}, {endStream: true});
      return;
    }
    let got = '';
    stream.on('trailers', (trailers) => (got = JSON.stringify(trailers)));
    stream.respond({':status': 200}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'grpc-status': '0', 'x-got': got}));
    stream.pipe(stream);
  });
  const http = await session();
  const stream = http.request(
    {':path': '/', ':method': 'POST', 'tunl-access': token, te: 'trailers'},
    {waitForTrailers: true},
  );
  // A visitor’s own name is not passed on.
  stream.on('wantTrailers', () => stream.sendTrailers({'x-check': '7', 'tunl-visitor': 'root'}));
  const trailers = once(stream, 'trailers');
  const closed = once(stream, 'close');
  let body = '';
  stream.on('data', (piece) => (body += piece));
  stream.end('abc');
  expect((await trailers)[0]).toMatchObject({'grpc-status': '0', 'x-got': '{"x-check":"7"}'});
  await closed;
  expect([body, seen[0]?.te]).toEqual(['abc', 'trailers']);
  const alone = await ask(http, {':path': '/alone', 'tunl-access': token});
  expect([alone.headers['grpc-status'], alone.trailers, alone.code]).toEqual(['5', undefined, 0]);
});

test('both directions are open at once, and resets pass with their code', async ({scope}) => {
  const streams: ServerHttp2Stream[] = [];
  const {session, token, server} = await setUp(scope, (stream) => {
    streams.push(stream);
    stream.respond({':status': 200});
    stream.pipe(stream);
  });
  const http = await session();
  const begin = async () => {
    const asked = once(server, 'stream');
    const stream = http.request({':path': '/', ':method': 'POST', 'tunl-access': token});
    stream.on('error', () => {});
    stream.write('one');
    await asked;
    expect(String((await once(stream, 'data'))[0])).toBe('one');
    stream.write('two');
    expect(String((await once(stream, 'data'))[0])).toBe('two');
    return stream;
  };
  const cancelled = await begin();
  const gone = once(streams[0] as ServerHttp2Stream, 'close');
  cancelled.close(8);
  await gone;
  expect(streams[0]?.rstCode).toBe(8);
  const failed = await begin();
  const over = once(failed, 'close').catch(() => {});
  streams[1]?.close(2);
  await over;
  expect(failed.rstCode).toBe(2);
  // The session goes on.
  (await begin()).close();
});

test('a visitor who is refused, or answered before its whole body was read, may go on with others', async ({
  scope,
}) => {
  const {session, token} = await setUp(scope, (stream, headers) => {
    stream.respond({':status': headers[':method'] === 'POST' ? 413 : 200});
    stream.end('short');
  });
  const http = await session();
  const large = 'x'.repeat(2_000_000);
  // Together more than what a session of Node may hold.
  for (let round = 0; round < 20; round += 1) {
    const refused = await ask(http, {':method': 'POST'}, large);
    expect([refused.headers[':status'], refused.code]).toEqual([401, 0]);
    const early = await ask(http, {':method': 'POST', 'tunl-access': token}, large);
    expect([early.headers[':status'], early.body]).toEqual([413, 'short']);
  }
  expect(await ask(http, {'tunl-access': token})).toMatchObject({headers: {':status': 200}, body: 'short'});
});

test('1xx answers pass', async ({scope}) => {
  const {session, token} = await setUp(scope, (stream) => {
    stream.additionalHeaders({':status': 103, link: '</a.css>; rel=preload'});
    stream.respond({':status': 204}, {endStream: true});
  });
  const http = await session();
  const stream = http.request({':path': '/', 'tunl-access': token});
  const early = once(stream, 'headers');
  const last = once(stream, 'response');
  expect((await early)[0]).toMatchObject({':status': 103, link: '</a.css>; rel=preload'});
  expect((await last)[0]).toMatchObject({':status': 204});
});

test.for([
  [{':authority': 'other.test'}, 421],
  // Node's parser resets these by itself.
  [{':authority': `a@${HOST}`}, undefined],
  [{host: 'other.test'}, 421],
  [{':method': 'CONNECT', ':authority': HOST}, 405],
  [{':path': '/#a'}, 400],
  [{':path': 'a'}, undefined],
  [{'x-large': 'x'.repeat(200_000)}, undefined],
] as const)('refused: %j', async ([headers, status], {scope}) => {
  const {session, token, seen, dialled} = await setUp(scope, (stream) =>
    stream.respond({':status': 200}, {endStream: true}),
  );
  const http = await session();
  const {':path': _, ...connect} = {':path': '/'};
  const given =
    ':method' in headers ? {...connect, ...headers, ':path': undefined, ':scheme': undefined} : headers;
  const answer = await ask(http, {'tunl-access': token, ...given}).catch(() => undefined);
  expect(answer?.headers[':status']).toBe(status);
  expect([seen, dialled]).toEqual([[], []]);
});

test('the authority, and a host beside it, are the tunnel’s own', async ({scope}) => {
  const {session, token, seen} = await setUp(scope, (stream) =>
    stream.respond({':status': 200}, {endStream: true}),
  );
  let http = await session();
  const answers = new Map<unknown, number>();
  const fates = async (headers: object) => {
    if (http.destroyed || http.closed) http = await session();
    const answer = await ask(http, {'tunl-access': token, ...headers}).catch(() => undefined);
    const status = answer?.headers[':status'];
    answers.set(status, (answers.get(status) ?? 0) + 1);
    return status;
  };
  // An empty one is none: Node then puts the URL of its session there. Spaces around a value are no part of it.
  const names = badNames(HOST.slice('demo.'.length), 'demo').filter(
    (name) => !['', HOST].includes(name.trim()),
  );
  // Node sends one byte for each character.
  for (const name of names.map((each) => Buffer.from(each).toString('latin1'))) {
    // Undefined: Node does not send it, or resets the stream.
    expect([undefined, 400, 421], name.slice(0, 80)).toContain(await fates({':authority': name}));
    expect(seen).toEqual([]);
    const beside = await fates({':authority': HOST, host: name});
    expect([undefined, 200, 400, 421]).toContain(beside);
    // Node leaves out a header whose value cannot be a host, so nobody sees it.
    for (const headers of seen.splice(0))
      expect([headers[':authority'], headers.host]).toEqual([HOST, undefined]);
  }
  expect(answers.get(421)).toBeGreaterThan(100);
});

test('an upstream that answers HTTP/2 with something else is reported', async ({scope}) => {
  const plain = createHttp1((_request, response) => response.end('HTTP/1'));
  const {visit, unanswered} = startGated(scope, await scope.listen(plain), {forwarded: true, h2: true});
  const {socket} = await visit({alpn: 'h2'});
  socket.removeAllListeners('data');
  const http = connect(`https://${HOST}`, {createConnection: () => socket});
  scope.onEnd(() => http.destroy());
  http.on('error', () => {});
  expect((await ask(http, {})).headers[':status']).toBeUndefined();
  await expect.poll(() => unanswered).toEqual(['h2']);
});

test('a revoked link ends its streams; an upstream that is down gets an answer', async ({scope}) => {
  const {session, gates, server} = await setUp(scope, (stream) => stream.respond({':status': 200}));
  const {id, url} = gates.share();
  const http = await session();
  const stream = http.request({':path': '/', 'tunl-access': url.split('tunl=')[1]});
  stream.on('error', () => {});
  const [upstream] = await once(server, 'stream');
  await once(stream, 'response');
  const [mine, its] = [once(http, 'close'), once(upstream, 'close').catch(() => {})];
  gates.revoke(id);
  await Promise.all([mine, its]);
  const down = startGated(scope, 1, {forwarded: true, h2: true});
  const {socket} = await down.visit({alpn: 'h2'});
  socket.removeAllListeners('data');
  const other = connect(`https://${HOST}`, {createConnection: () => socket});
  other.on('error', () => {});
  scope.onEnd(() => other.destroy());
  expect(await ask(other, {})).toMatchObject({
    headers: {':status': 502},
    body: expect.stringContaining('UPSTREAM_REFUSED'),
  });
});

test('what an upstream sends cannot throw in the gate', async ({scope}) => {
  const {session, token} = await setUp(scope, (stream, headers) => {
    // Node's own server would refuse to send these.
    const push = stream as unknown as {session: {goaway(code: number): void}};
    if (headers[':path'] === '/goaway') push.session.goaway(0);
    if (headers[':path'] === '/cut') return stream.session?.destroy();
    stream.respond({':status': 200});
    stream.end('in');
  });
  for (const path of ['/goaway', '/cut', '/']) {
    const http = await session();
    const answer = await ask(http, {':path': path, 'tunl-access': token});
    expect(answer.body).toBe(path === '/cut' ? '' : 'in');
  }
  const head = await ask(await session(), {':method': 'HEAD'});
  expect([head.headers[':status'], head.body, head.code]).toEqual([401, '', 0]);
});

test('without ALPN the first bytes tell HTTP/2 from HTTP/1', async ({scope}) => {
  const {session, token, say} = await setUp(scope, (stream) => {
    stream.respond({':status': 200});
    stream.end('h2');
  });
  expect(await ask(await session(undefined), {'tunl-access': token})).toMatchObject({body: 'h2'});
  expect(await say(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 401 /);
  expect(await say('PRI nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

test('who sends too little to tell has 30 s; a visitor who is in stays', async ({scope}) => {
  const {session, token, visit} = await setUp(scope, (stream) =>
    stream.respond({':status': 204}, {endStream: true}),
  );
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
  scope.onEnd(() => void vi.useRealTimers());
  const http = await session(undefined);
  expect(await ask(http, {'tunl-access': token})).toMatchObject({headers: {':status': 204}});
  for (const words of ['', 'PRI * HT']) {
    const {socket, closed} = await visit();
    if (words !== '') socket.write(words);
    vi.advanceTimersByTime(29_999);
    expect(socket.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    await closed;
  }
  expect(await ask(http, {'tunl-access': token})).toMatchObject({headers: {':status': 204}});
});
