// Requests that two programs could read differently: while a gate is on they are refused, and no byte of them reaches the upstream.

import {createServer} from 'node:net';
import {expect} from 'vitest';
import {badNames} from '../../../../helpers/bad-names.js';
import {get, HOST, startGated} from '../../../../helpers/gated.js';
import type {Scope} from '../../../../helpers/scope.js';
import {test} from '../../../../helpers/test.js';

async function setUp(scope: Scope) {
  let bytes = '';
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (piece) => {
      bytes += piece.toString('latin1');
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nin');
    });
  });
  // Everybody is let in: the request alone decides.
  const gated = startGated(scope, await scope.listen(server), {forwarded: true});
  return {...gated, bytes: () => bytes};
}

const post = (...lines: string[]) => [`POST / HTTP/1.1`, `Host: ${HOST}`, ...lines, '', ''].join('\r\n');
/** Spaces at the end of a header are no part of it. */
const BAD_NAMES = badNames(HOST.slice('demo.'.length), 'demo').filter((name) => name.trim() !== HOST);
const NEXT = `GET /admin HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;

const REFUSED: Readonly<Record<string, string>> = {
  'bare LF': `GET / HTTP/1.1\nHost: ${HOST}\n\n`,
  'bare LF after a header': `GET / HTTP/1.1\r\nHost: ${HOST}\nX: y\r\n\r\n`,
  'bare CR in a header': get('/', ['X: a\rY: b']),
  'NUL in a header': get('/', ['X: a\0b']),
  'folded header': get('/', ['X: a', ' b']),
  'space before the colon': get('/', ['X : a']),
  'header without a name': get('/', [': a']),
  'two Host': get('/', [`Host: ${HOST}`]),
  'two Host, one foreign': get('/', ['Host: other.test']),
  'no Host': 'GET / HTTP/1.1\r\n\r\n',
  'Transfer-Encoding with Content-Length': `${post('Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n${NEXT}`,
  'Content-Length with Transfer-Encoding': `${post('Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n${NEXT}`,
  'two Content-Length': `${post('Content-Length: 4', 'Content-Length: 4')}abcd`,
  'two different Content-Length': `${post('Content-Length: 4', 'Content-Length: 0')}abcd`,
  'list as Content-Length': `${post('Content-Length: 4, 4')}abcd`,
  'signed Content-Length': `${post('Content-Length: +4')}abcd`,
  'hexadecimal Content-Length': `${post('Content-Length: 0x4')}abcd`,
  'Transfer-Encoding: identity': post('Transfer-Encoding: identity'),
  'Transfer-Encoding: xchunked': `${post('Transfer-Encoding: xchunked')}0\r\n\r\n`,
  'Transfer-Encoding: gzip, chunked': `${post('Transfer-Encoding: gzip, chunked')}0\r\n\r\n`,
  'Transfer-Encoding: chunked, identity': `${post('Transfer-Encoding: chunked, identity')}0\r\n\r\n`,
  'chunked twice': `${post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
  'chunked with HTTP/1.0': `POST / HTTP/1.0\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'Upgrade: h2c': get('/', [
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AAMAAABkAAQAAP__',
  ]),
  'Upgrade: h2c among others': get('/', ['Connection: Upgrade', 'Upgrade: websocket, h2c']),
  'Upgrade: h2c without Connection': get('/', ['Upgrade: h2c']),
  'Upgrade: TLS': get('/', ['Connection: Upgrade', 'Upgrade: TLS/1.2']),
  'upgrade with a body': `${post('Connection: Upgrade', 'Upgrade: websocket', 'Content-Length: 4')}abcd`,
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  CONNECT: `CONNECT ${HOST}:443 HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
  'HTTP/2.0 in text': `GET / HTTP/2.0\r\nHost: ${HOST}\r\n\r\n`,
  'HTTP/0.9': 'GET /\r\n\r\n',
  'HTTP/1.2': `GET / HTTP/1.2\r\nHost: ${HOST}\r\n\r\n`,
  'space in the target': get('/a b'),
  'fragment in the target': get('/a#b'),
  'bytes beyond ASCII in the target': get('/\u00fc'),
  'relative target': get('a'),
  'target with another scheme': get(`ftp://${HOST}/`),
  'headers of 1 MB': get('/', [`X: ${'a'.repeat(1_000_000)}`]),
  'ten thousand headers': get('/', Array<string>(10_000).fill('X: abcde')),
  'no HTTP at all': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'a redis command': '*1\r\n$4\r\nPING\r\n',
};

test.for(Object.entries(REFUSED))('refused: %s', async ([, text], {scope}) => {
  const {say, bytes, dialled} = await setUp(scope);
  const answer = await say(Buffer.from(text, 'latin1'));
  expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
  // One answer, and then the end: what followed was not read as a request.
  expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  expect([bytes(), dialled]).toEqual(['', []]);
});

test('the host of the request is one of the tunnel’s own', async ({scope}) => {
  const {say, bytes} = await setUp(scope);
  const bases = ['other.test', 'localhost', '127.0.0.1', '[::1]', `x.${HOST}`, `${HOST}.evil`, `${HOST}x`];
  const generated = bases.flatMap((base) => [
    ...[base, `${base}:443`, `${base}.`, `a@${base}`, `${base}:80:80`, `${base}%00`, `${base}/x`],
  ]);
  const odd = [
    `${HOST}@other.test`,
    `other.test@${HOST}`,
    `${HOST},other.test`,
    `${HOST} other.test`,
    `${HOST}:`,
    `${HOST}:x`,
    `${HOST}/`,
    `${HOST}\\`,
    `${HOST}?`,
    `${HOST}#`,
    '',
    ' ',
    '[',
    ']',
    ':443',
  ];
  const all = new Set([...generated, ...odd, ...BAD_NAMES]);
  expect(all.size).toBeGreaterThan(600);
  for (const host of all) {
    const answer = await say(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect([host, /^HTTP\/1\.1 (400|421) /.test(answer)]).toEqual([host, true]);
    // These end the host of an absolute target.
    if (host === '' || /[\s/?#]/.test(host)) continue;
    const absolute = await say(`GET http://${host}/ HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    expect([host, /^HTTP\/1\.1 (400|421) /.test(absolute)]).toEqual([host, true]);
  }
  expect(bytes()).toBe('');
  for (const host of [HOST, HOST.toUpperCase(), `${HOST}:443`, `${HOST}:8443`, `${HOST}.`])
    expect(await say(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  // The absolute form names the same host; the upstream gets the usual form.
  expect(await say(`GET http://${HOST}/x?y HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  expect(bytes()).toContain('GET /x?y HTTP/1.1\r\n');
});

test('headers that only a gate may write, and forged addresses, are removed in all their forms', async ({
  scope,
}) => {
  const {say, bytes} = await setUp(scope);
  await say(
    get('/', [
      'Tunl-Visitor: root',
      'TUNL_VISITOR: root',
      'Forwarded: for=1.2.3.4',
      'X-Forwarded-For: 1.2.3.4',
      'X_Forwarded_For: 1.2.3.4',
      'x-forwarded-proto: http',
      'X-Forwarded-Client-Cert: root',
      'X-Real-IP: 1.2.3.4',
      'Connection: X-Forwarded-For, Host, close',
      'X-Own: stays',
    ]),
  );
  expect(bytes()).not.toMatch(/root|1\.2\.3\.4/);
  expect(bytes()).toContain(`Host: ${HOST}\r\n`);
  expect(bytes()).toContain('X-Own: stays\r\n');
  expect(bytes()).toContain(`Forwarded: for="203.0.113.7:50000";host="${HOST}";proto=https\r\n`);
  expect(bytes()).toContain('X-Forwarded-For: 203.0.113.7\r\n');
});
