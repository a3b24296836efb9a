// Answers in which dev servers refuse a name are recognised, however they are cut, and no other answers are.

import {expect, test} from 'vitest';
import {HostChecks} from '../../../src/lib/agent/host-checks.js';
import type {StreamCode} from '../../../src/lib/protocol/wire.js';

const answer = (status: string, body: string, ...headers: string[]) =>
  `HTTP/1.1 ${status}\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n${body}`;

/** The layout of jupyter_server 2.21; the heading is followed by a reason. */
const jupyter = (reason = '') =>
  answer(
    '403 Forbidden',
    `<title>Jupyter Server</title>${' '.repeat(2_000)}<h1>403 : Forbidden</h1>\n${reason}</div>`,
    'Server: TornadoServer/6.5',
    'Content-Type: text/html',
  );

const VITE = answer(
  '403 Forbidden',
  'Blocked request. To allow this host, add "x" to `server.allowedHosts`.',
);

/** The notices for an upstream that sends this text, in pieces of `size` bytes in one and the same buffer, on `connections`. */
function told(text: string, size = text.length, connections = 1): string[] {
  const messages: string[] = [];
  const checks = new HostChecks((_code, message) => messages.push(message));
  const buffer = Buffer.alloc(size);
  for (let n = 0; n < connections; n++) {
    const tap = checks.begin();
    for (let at = 0; at < text.length; at += size) {
      const bytes = buffer.write(text.slice(at, at + size), 'latin1');
      tap?.down(buffer.subarray(0, bytes));
    }
  }
  return messages;
}

test.each([
  ['server.allowedHosts', VITE],
  ['devServer.allowedHosts', answer('403 Forbidden', 'Invalid Host header')],
  ['allowedDevOrigins', answer('403 Forbidden', 'c\r\nUnauthorized\r\n0\r\n', 'Transfer-Encoding: chunked')],
  ['config.hosts', answer('403 Forbidden', `${' '.repeat(4_700)}<h1>Blocked host: x.r1.example.net</h1>`)],
  ['config.hosts', answer('403 Forbidden', '<h1>Blocked hosts: x.r1.example.net</h1>')],
  ['ALLOWED_HOSTS', answer('400 Bad Request', '<title>DisallowedHost at /</title>')],
  ['ALLOWED_HOSTS', answer('400 Bad Request', '<title>DisallowedHost\n          at /</title>')],
  ['CSRF_TRUSTED_ORIGINS', answer('403 Forbidden', '<pre>Origin checking failed - https://x does not match')],
  ['ServerApp.local_hostnames', jupyter()],
])('%s', (setting, text) => {
  expect(told(text)).toEqual([expect.stringContaining(`(${setting})`)]);
  expect(told(text, 20)).toEqual([expect.stringContaining(`(${setting})`)]);
});

test('each kind is reported once', () => {
  expect(told(VITE, VITE.length, 3)).toHaveLength(1);
});

test.each([
  answer('200 OK', 'server.allowedHosts'),
  answer('403 Forbidden', 'you may not'),
  answer('401 Unauthorized', 'Unauthorized'),
  jupyter('<p>The error was:</p><pre>&#39;_xsrf&#39; argument missing from POST</pre>'),
  answer(
    '403 Forbidden',
    '{"message": "Forbidden"}',
    'Server: TornadoServer/6.5',
    'Content-Type: application/json',
  ),
  'SSH-2.0-OpenSSH_9.2\r\n',
  '',
  `HTTP/1.1 403 Forbidden\r\n\r\n${' '.repeat(20_000)}server.allowedHosts`,
])('nothing is reported about %j', (text) => {
  expect(told(text)).toEqual([]);
});

/** The codes for an upstream that answers `down` to a visitor that sends `up`. */
function codes(up: string, down: string): string[] {
  const found: string[] = [];
  const tap = new HostChecks((code) => found.push(code)).begin();
  tap?.up(Buffer.from(up, 'latin1'));
  tap?.down(Buffer.from(down, 'latin1'));
  return found;
}

/** The codes after an upstream has closed the connection without a byte, `times` times. */
async function closed(
  {
    up,
    speaksTls,
    code,
    first = code === undefined ? 'down' : undefined,
  }: {up: string; speaksTls: boolean; code?: StreamCode; first?: 'up' | 'down'},
  times = 1,
): Promise<{found: string[]; probes: number}> {
  const found: string[] = [];
  let probes = 0;
  const checks = new HostChecks(
    (each) => found.push(each),
    async () => {
      probes += 1;
      return speaksTls;
    },
  );
  for (let n = 0; n < times; n++) {
    const tap = checks.begin();
    if (up !== '') tap?.up(Buffer.from(up, 'latin1'));
    tap?.end(code, first);
    await new Promise(setImmediate);
  }
  return {found, probes};
}

test.each<[string, boolean, 'h2' | 'http/1.1', string[]]>([
  ['HTTP/1.1 at a TLS server', true, 'http/1.1', ['UPSTREAM_TLS']],
  ['HTTP/2 at a TLS server', true, 'h2', ['UPSTREAM_TLS']],
  ['HTTP/2 at another server', false, 'h2', ['UPSTREAM_PROTOCOL']],
  ['HTTP/1.1 at a service that fails', false, 'http/1.1', []],
])('a request of a gate without an answer, %s: told once', async (_name, speaksTls, protocol, told) => {
  const found: string[] = [];
  const checks = new HostChecks(
    (code) => found.push(code),
    async () => speaksTls,
  );
  for (let n = 0; n < 5; n += 1) checks.unanswered(protocol);
  await new Promise(setImmediate);
  expect(found).toEqual(told);
});

test('an upstream that closes without an answer and speaks TLS: told once', async () => {
  const up = GET;
  const told = {found: ['UPSTREAM_TLS'], probes: 1};
  expect(await closed({up, speaksTls: true}, 5)).toEqual(told);
  expect(await closed({up, speaksTls: true, code: 'UPSTREAM_RESET'})).toEqual(told);
  expect(await closed({up: PREFACE, speaksTls: true})).toEqual(told);
  // A service that fails: asked a few times, and nothing is told.
  expect(await closed({up, speaksTls: false}, 9)).toEqual({found: [], probes: 3});
});

test.each<[string, Parameters<typeof closed>[0]]>([
  ['the visitor has left', {up: 'GET / HTTP/1.1\r\n\r\n', speaksTls: true, first: 'up'}],
  [
    'the upstream resets a visitor that has left',
    {up: 'GET /', speaksTls: true, first: 'up', code: 'UPSTREAM_RESET'},
  ],
  ['the visitor was reset', {up: 'GET / HTTP/1.1\r\n\r\n', speaksTls: true, code: 'VISITOR_RESET'}],
  ['the visitor has sent nothing', {up: '', speaksTls: true}],
  ['the visitor speaks TLS itself', {up: '\x16\x03\x01\x02\x00', speaksTls: true}],
])('the upstream is not asked for TLS when %s', async (_what, how) => {
  expect(await closed(how)).toEqual({found: [], probes: 0});
});

const GET = 'GET / HTTP/1.1\r\n\r\n';
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const ALERT = '\x15\x03\x01\x00\x02\x02\x16';
const NGINX = 'The plain HTTP request was sent to HTTPS port';

test.each([
  ['plain HTTP to nginx', GET, answer('400 Bad Request', `<center>${NGINX}</center>`), ['UPSTREAM_TLS']],
  [
    'to Go',
    GET,
    answer('400 Bad Request', 'Client sent an HTTP request to an HTTPS server.'),
    ['UPSTREAM_TLS'],
  ],
  ['to OpenSSL', GET, ALERT, ['UPSTREAM_TLS']],
  ['HTTP/2 to HTTP/1.1', PREFACE, answer('400 Bad Request', ''), ['UPSTREAM_PROTOCOL']],
  ['HTTP/2 to HTTP/1.0', PREFACE, 'HTTP/1.0 505 Invalid version\r\n\r\n', ['UPSTREAM_PROTOCOL']],
  ['HTTP/2 to HTTP/2', PREFACE, '\0\0\0\x04\0\0\0\0\0', []],
  ['TLS to TLS', '\x16\x03\x01\x02\x00', ALERT, []],
  ['an alert before the visitor sends anything', '', ALERT, []],
  ['a POST', 'POST / HTTP/1.1\r\n\r\n', answer('400 Bad Request', ''), []],
  ['a page about it', GET, answer('200 OK', NGINX), []],
])('%s', (_name, up, down, expected) => {
  expect(codes(up, down)).toEqual(expected);
});
