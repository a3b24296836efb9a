import {once} from 'node:events';
import http, {type IncomingMessage} from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import {describe, expect} from 'vitest';
import {acceptUpgrade, judgeUpgrade, refuseUpgrade} from '../../../src/lib/carrier/upgrade.js';
import type {ErrorCode} from '../../../src/lib/core/errors.js';
import {listenTo, type SinkLog, testIdentity} from '../../helpers/carriers.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';
import {closeBody, frame} from '../../helpers/ws-bytes.js';

const good = {
  Host: 'relay.localhost',
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Protocol': 'tunl.v1',
};

type Headers = Record<string, string>;

function request(headers: Headers = good, line = 'GET /x HTTP/1.1'): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line}\r\n${lines.join('')}\r\n`;
}

type Upgraded = Parameters<typeof acceptUpgrade>[0];

/** An https server that passes on each upgrade, and sockets to it. */
async function relay(scope: Scope, onUpgrade: (upgrade: Upgraded) => void) {
  const {ca, key, cert} = await testIdentity();
  const server = https.createServer({key, cert});
  server.on('upgrade', (req, socket, head) => onUpgrade({req, socket, head}));
  const port = await scope.listen(server);
  return async () => {
    const socket = tls.connect({host: '127.0.0.1', port, ca});
    scope.onEnd(() => void socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    return socket;
  };
}

/** All bytes until the peer ends. */
async function answerTo(socket: tls.TLSSocket, bytes: string | Buffer): Promise<string> {
  socket.write(bytes);
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}

test('answers 101 according to RFC 6455, and later bytes are frames', async ({scope}) => {
  const logs: SinkLog[] = [];
  const connect = await relay(scope, (upgrade) => {
    const carrier = acceptUpgrade({...upgrade, headers: {'X-Hello': 'agent'}});
    if (carrier === undefined) throw new Error('refused');
    expect(carrier.label).toMatch(/^wss 127\.0\.0\.1:\d+$/);
    logs.push(listenTo(carrier));
    carrier.end();
  });
  const mask = Buffer.from([9, 8, 7, 6]);
  // Frames in the same write as the request: they are the upgrade's head.
  const text = await answerTo(
    await connect(),
    Buffer.concat([
      Buffer.from(
        request({...good, 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits'}),
      ),
      frame({payload: 'early', mask}),
      frame({opcode: 8, payload: closeBody(1000), mask}),
    ]),
  );
  const [head = '', rest] = text.split('\r\n\r\n');
  const lines = head.split('\r\n');
  expect(lines[0]).toBe('HTTP/1.1 101 Switching Protocols');
  expect(lines.slice(1).sort()).toEqual([
    'Connection: Upgrade',
    'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    'Sec-WebSocket-Protocol: tunl.v1',
    'Upgrade: websocket',
    'X-Hello: agent',
  ]);
  expect(rest).toBe(frame({opcode: 8, payload: closeBody(1000)}).toString());
  expect(await logs[0]?.closed()).toBeUndefined();
  expect(logs[0]?.data.toString()).toBe('early');
});

describe('refuses', () => {
  test.for<[string, Headers, string, number, ErrorCode]>([
    ['a web page', {Origin: 'https://relay.localhost'}, '', 403, 'PROTOCOL'],
    ['a sandboxed web page', {Origin: 'null'}, '', 403, 'PROTOCOL'],
    ['a POST', {}, 'POST /x HTTP/1.1', 405, 'PROTOCOL'],
    ['another upgrade', {Upgrade: 'h2c'}, '', 400, 'PROTOCOL'],
    ['no key', {'Sec-WebSocket-Key': ''}, '', 400, 'PROTOCOL'],
    ['a short key', {'Sec-WebSocket-Key': 'dGhlIHNhbXBsZQ=='}, '', 400, 'PROTOCOL'],
    ['a long key', {'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZSBhbmQ='}, '', 400, 'PROTOCOL'],
    ['a key that is not base64', {'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25j!!=='}, '', 400, 'PROTOCOL'],
    ['two keys', {'Sec-WebSocket-Key': `${good['Sec-WebSocket-Key']}, x`}, '', 400, 'PROTOCOL'],
    ['version 8', {'Sec-WebSocket-Version': '8'}, '', 426, 'PROTOCOL'],
    ['no sub-protocol', {'Sec-WebSocket-Protocol': ''}, '', 426, 'RELAY_TOO_NEW'],
    ['another sub-protocol', {'Sec-WebSocket-Protocol': 'chat'}, '', 426, 'RELAY_TOO_NEW'],
    ['an older tunl', {'Sec-WebSocket-Protocol': 'tunl.v0'}, '', 426, 'RELAY_TOO_NEW'],
    ['a newer tunl', {'Sec-WebSocket-Protocol': 'tunl.v3, tunl.v2'}, '', 426, 'RELAY_TOO_OLD'],
    [
      'an odd version',
      {'Sec-WebSocket-Protocol': 'tunl.v2x, tunl.v, tunl.v9999999'},
      '',
      426,
      'RELAY_TOO_NEW',
    ],
  ])('%s', async ([_what, headers, line, status, code], {scope}) => {
    let carrier: unknown = 'none yet';
    const connect = await relay(scope, (upgrade) => {
      carrier = acceptUpgrade(upgrade);
    });
    const text = await answerTo(await connect(), request({...good, ...headers}, line || undefined));
    const [head = '', body = ''] = text.split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(head).toContain('Connection: close');
    expect(head.includes('Sec-WebSocket-Version: 13')).toBe(headers['Sec-WebSocket-Version'] !== undefined);
    expect(JSON.parse(body)).toEqual({error: {code, message: expect.stringMatching(/\.$/)}});
    expect(carrier).toBeUndefined();
  });

  test('requests that an http server does not treat as an upgrade', () => {
    const of = (headers: object, more: object = {}) =>
      judgeUpgrade({method: 'GET', httpVersion: '1.1', headers, ...more} as IncomingMessage);
    const headers = Object.fromEntries(
      Object.entries(good).map(([name, value]) => [name.toLowerCase(), value]),
    );
    expect(of(headers)).toBeUndefined();
    expect(of({...headers, upgrade: 'WebSocket', connection: 'keep-alive, UPGRADE'})).toBeUndefined();
    expect(of({...headers, 'sec-websocket-protocol': 'tunl.v2, tunl.v1'})).toBeUndefined();
    expect(of({...headers, connection: 'keep-alive'})).toMatchObject({status: 400});
    expect(of({...headers, upgrade: undefined})).toMatchObject({status: 400});
    expect(of(headers, {httpVersion: '1.0'})).toMatchObject({status: 400});
  });
});

describe('refuseUpgrade', () => {
  test('says why, and when to come back', async ({scope}) => {
    const connect = await relay(scope, ({socket}) =>
      refuseUpgrade(socket, 429, {code: 'RELAY_BUSY', message: 'Too many “agents”.', retryAfterMs: 1_500}),
    );
    const text = await answerTo(await connect(), request());
    const [head = '', body = ''] = text.split('\r\n\r\n');
    expect(head.split('\r\n')).toEqual([
      'HTTP/1.1 429 Too Many Requests',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Cache-Control: no-store',
      'Connection: close',
      'Retry-After: 2',
    ]);
    expect(JSON.parse(body)).toEqual({error: {code: 'RELAY_BUSY', message: 'Too many “agents”.'}});
  });

  test('a peer that continues to send still gets the answer, and the socket closes after it', async ({
    scope,
  }) => {
    // Its time never passes: the close must not need the timer.
    const clock = new ManualClock();
    const closed = Promise.withResolvers<void>();
    const connect = await relay(scope, ({socket}) => {
      socket.once('close', closed.resolve);
      refuseUpgrade(socket, 401, {code: 'TOKEN_WRONG', message: 'No.', clock});
    });
    const text = await answerTo(
      await connect(),
      Buffer.concat([Buffer.from(request()), Buffer.alloc(1_000_000)]),
    );
    expect(text).toContain('TOKEN_WRONG');
    await closed.promise;
    expect(clock.pending).toBe(0);
  });

  test('a peer that resets in the middle of the answer has no effect on others', async ({scope}) => {
    const closed = Promise.withResolvers<unknown>();
    // Without TLS, because a TLS socket has its own error listener.
    const server = http.createServer().on('upgrade', (_req, socket) => {
      socket.once('close', () => closed.resolve(socket.errored));
      refuseUpgrade(socket, 401, {code: 'TOKEN_WRONG', message: 'No. '.repeat(4_000_000)});
    });
    const socket = net.connect(await scope.listen(server), '127.0.0.1');
    socket.write(request());
    await once(socket, 'readable');
    socket.resetAndDestroy();
    expect(await closed.promise).toBeInstanceOf(Error);
  });

  test('a peer that never closes is left after two seconds', async ({scope}) => {
    const clock = new ManualClock();
    const closed = Promise.withResolvers<void>();
    const connect = await relay(scope, ({socket}) => {
      socket.once('close', closed.resolve);
      refuseUpgrade(socket, 503, {code: 'RELAY_BUSY', message: 'Later.', clock});
    });
    const socket = await connect();
    // This side should close, and does not.
    socket.allowHalfOpen = true;
    expect(await answerTo(socket, request())).toContain('503 Service Unavailable');
    clock.advance(2_000);
    await closed.promise;
    expect(clock.pending).toBe(0);
  });

  test('a peer that is already gone has no effect on others', async ({scope}) => {
    const clock = new ManualClock();
    const closed = Promise.withResolvers<void>();
    const connect = await relay(scope, ({socket}) => {
      socket.once('close', closed.resolve);
      socket.destroy();
      refuseUpgrade(socket, 401, {code: 'TOKEN_WRONG', message: 'No.', clock});
    });
    (await connect()).write(request());
    await closed.promise;
    expect(clock.pending).toBe(0);
  });
});
