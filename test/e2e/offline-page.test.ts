// `--offline-page`: the answer of the agent while the upstream does not accept connections, and the visitors that get it.

import {once} from 'node:events';
import {createServer} from 'node:http';
import {connect as connectHttp2} from 'node:http2';
import type {Socket} from 'node:net';
import {expect} from 'vitest';
import {gate, wayIn, wayInLines} from '../helpers/behind-gate.js';
import {startBrowser} from '../helpers/browser.js';
import {MiB} from '../helpers/bytes.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {boldVisitor, curl, type TlsVisitorOptions, tlsVisitor} from '../helpers/visitors.js';

async function down(scope: Scope, relay: RelayProcess, flags: readonly string[] = ['--offline-page']) {
  const port = await unusedPort();
  const {cli, ready} = await relay.expose(port, {flags});
  const visit = (options: Partial<TlsVisitorOptions> = {}) =>
    tlsVisitor(scope, ready.tls ?? {host: '', port: 0}, {caFile: relay.caFile, ...options});
  const url = ready.url ?? '';
  const way = () => wayInLines(scope, relay.caFile, url);
  return {port, cli, ready, visit, url, headers: async () => `host: ${new URL(url).host}\r\n${await way()}`};
}

/** Everything that the visitor gets, and how its connection ends. */
async function heard(socket: Socket): Promise<{text: string; end: 'end' | 'reset'}> {
  const pieces: Buffer[] = [];
  const closed = Promise.withResolvers<'end' | 'reset'>();
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  socket.on('end', () => {
    closed.resolve('end');
    socket.destroy();
  });
  socket.on('error', () => closed.resolve('reset')).on('close', () => closed.resolve('reset'));
  return {end: await closed.promise, text: Buffer.concat(pieces).toString()};
}

const FRAME = {headers: 1, reset: 3, settings: 4};
/** END_HEADERS and END_STREAM. */
const WHOLE_REQUEST = 0x5;

/** A frame of HTTP/2 (RFC 9113 §4.1). */
function frame(
  type: number,
  {stream, flags = 0, payload = Buffer.alloc(0)}: {stream: number; flags?: number; payload?: Buffer},
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.set([type, flags], 3);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

test('Chromium shows the page, and the service as soon as it is there', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {port, url} = await down(scope, relay);
  const browser = await startBrowser(scope, {caFile: relay.caFile});
  const page = await browser.newPage();
  const answer = await page.goto(`${url}/path?q=1`);
  expect(answer?.status()).toBe(503);
  expect(await page.textContent('h1')).toBe('The service does not answer');
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(`<!doctype html><h1>here: ${request.url}</h1>`);
  });
  await scope.listen(server, '127.0.0.1', port);
  await page.waitForSelector('text=here: /path?q=1');
});

test('HTTP/1.1: 503 for each method, HEAD without a body, and the event says that the upstream refused', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {cli, url} = await down(scope, relay);
  const get = await curl(scope, relay.caFile, ['-i', '-H', 'Accept: text/html', url]);
  expect(get.stdout).toMatch(
    /^HTTP\/1.1 503 [\s\S]*retry-after: 3\r\n[\s\S]*connection: close\r\n[\s\S]*<h1>/,
  );
  expect(get.stdout).not.toContain('localhost');
  const api = await curl(scope, relay.caFile, [url]);
  if (gate === undefined)
    expect(api.stdout).toBe('The service behind this address does not accept connections.\n');
  else expect(JSON.parse(api.stdout)).toMatchObject({error: {code: 'UPSTREAM_REFUSED'}});
  const head = await curl(scope, relay.caFile, ['-I', url]);
  expect(head.stdout).toMatch(/^HTTP\/1.1 503 [\s\S]*\r\n\r\n$/);
  // A gate has a conversation with its visitor, so its connection was open.
  if (gate === undefined) {
    const refused = await cli.event('connection', ({state}) => state === 'refused');
    expect(refused).toMatchObject({code: 'UPSTREAM_REFUSED'});
    expect(JSON.stringify(cli.events)).not.toContain('"state":"open"');
  }
  const {message} = await cli.event('notice', ({message: text}) => /the visitor/.test(String(text)));
  expect(message).toContain(`the visitor got ${gate === undefined ? 'the offline' : 'an error'} page`);
});

test('a long upload gets the answer, and is not read to its end', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {cli, visit, headers} = await down(scope, relay);
  const lines = await headers();
  const visitor = await visit({alpn: ['http/1.1']});
  const got = heard(visitor);
  visitor.write(`POST / HTTP/1.1\r\n${lines}content-length: 1000000000\r\n\r\n`);
  const body = Buffer.alloc(MiB);
  for (let i = 0; i < 64; i += 1) visitor.write(body);
  expect((await got).text).toMatch(/^HTTP\/1.1 503 /);
  const over = gate === undefined ? 'refused' : 'closed';
  const {bytesIn} = await cli.event('connection', (event) => event.state === over && event.bytesIn > 0);
  expect(bytesIn).toBeLessThan(8 * MiB);
});

test('a head without an end is answered at its limit', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {visit} = await down(scope, relay);
  const visitor = await visit({alpn: ['http/1.1']});
  visitor.write(`GET / HTTP/1.1\r\nx: ${'y'.repeat(32 * 1024)}`);
  expect((await heard(visitor)).text).toMatch(/^HTTP\/1.1 503 /);
});

test('without ALPN the first bytes decide: a request gets the page, others and silence are reset', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {visit} = await down(scope, relay);
  const plain = await visit();
  plain.write('GE');
  plain.write('T / HTTP/1.0\r\n\r\n');
  expect(await heard(plain)).toMatchObject({end: 'end', text: expect.stringMatching(/^HTTP\/1.1 503 /)});
  for (const words of ['SSH-2.0-OpenSSH_9.2\r\n', '\u0016\u0003\u0001', '*1\r\n$4\r\nPING\r\n', '']) {
    const other = await visit();
    if (words !== '') other.write(words);
    expect.soft(await heard(other), words).toEqual({end: 'reset', text: ''});
  }
});

test('a visitor of a TCP tunnel never gets the page, even if it sends a request', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {ready} = await down(scope, relay, ['--offline-page', '--tcp']);
  const visitor = boldVisitor(scope, ready.tcp?.port ?? 0);
  visitor.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  expect(await heard(visitor)).toEqual({end: 'reset', text: ''});
});

test('without the flag visitors are reset', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {visit} = await down(scope, relay, []);
  const visitor = await visit({alpn: ['http/1.1']});
  visitor.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  expect(await heard(visitor)).toEqual({end: 'reset', text: ''});
});

test('h2: 503, HEAD without a body, and the session ends', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {cli, visit, url} = await down(scope, relay, ['--offline-page', '--h2']);
  const way = await wayIn(scope, relay.caFile, url);
  for (const method of ['GET', 'HEAD', 'POST']) {
    const socket = await visit({alpn: ['h2']});
    const session = connectHttp2(url, {createConnection: () => socket});
    scope.onEnd(() => session.destroy());
    const stream = session.request({':method': method, accept: 'text/html', ...way});
    // A body that does not end gets its answer, too.
    const [headers] = (await once(stream, 'response')) as [Record<string, string | number>];
    expect.soft(headers[':status']).toBe(503);
    let body = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    stream.on('error', () => {});
    await once(stream, 'end');
    expect
      .soft(body.includes('<h1>'), method)
      .toBe(gate === undefined ? method !== 'HEAD' : method === 'GET');
    stream.end();
    // A gate stays for further requests.
    if (gate === undefined) await once(socket, 'close');
  }
  if (gate !== undefined) return;
  expect(await cli.event('connection', ({state}) => state === 'refused')).toMatchObject({
    code: 'UPSTREAM_REFUSED',
  });
});

test('h2: a request that is reset in the same write ends its own connection alone', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {visit, url} = await down(scope, relay, ['--offline-page', '--h2']);
  const bold = await visit({alpn: ['h2']});
  const got = heard(bold);
  const {host} = new URL(url);
  // HPACK: GET, / and https by their indexes, and the authority.
  const payload = Buffer.from([0x82, 0x84, 0x87, 0x41, host.length, ...Buffer.from(host)]);
  bold.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(FRAME.settings, {stream: 0}),
      frame(FRAME.headers, {stream: 1, flags: WHOLE_REQUEST, payload}),
      frame(FRAME.reset, {stream: 1, payload: Buffer.alloc(4)}),
    ]),
  );
  // Behind a gate the connection stays for other requests.
  if (gate === undefined) await got;
  const next = await curl(scope, relay.caFile, ['--http2', '--include', url]);
  expect(next.stdout).toMatch(/^HTTP\/2 50\d/);
});
