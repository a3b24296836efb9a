// One HTTPS request: the answer, and a clear error for everything else, bounded in time and size.

import type {RequestListener} from 'node:http';
import {createServer} from 'node:https';
import {createServer as createTcp} from 'node:net';
import {Readable} from 'node:stream';
import {expect} from 'vitest';
import {type AskOptions, ask} from '../../../src/lib/carrier/ask.js';
import {createAuthority} from '../../helpers/certificates.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const authority = await createAuthority();
const leaf = await authority.issue(['localhost']);

async function site(scope: Scope, listener: RequestListener) {
  const port = await scope.listen(createServer(leaf, listener));
  return (options: Partial<AskOptions> = {}) =>
    ask({
      url: new URL(`https://localhost:${port}/x?y=1`),
      kind: 'issuer',
      ca: authority.cert,
      env: {},
      ...options,
    });
}

function* endless() {
  for (;;) yield 'x'.repeat(500);
}

test('the request and its answer', async ({scope}) => {
  const asked = await site(scope, async (req, res) => {
    let body = '';
    for await (const piece of req) body += piece;
    res
      .writeHead(201, {'Content-Type': 'text/plain'})
      .end(`${req.method} ${req.url} ${req.headers.x} ${body}`);
  });
  expect(await asked({method: 'POST', body: 'ä', headers: {x: 'one'}})).toMatchObject({
    status: 201,
    text: 'POST /x?y=1 one ä',
    headers: {'content-type': 'text/plain'},
  });
  expect((await asked()).text).toBe('GET /x?y=1 undefined ');
});

test('a redirect is an answer, and is not followed', async ({scope}) => {
  let requests = 0;
  const asked = await site(scope, (_req, res) => {
    requests += 1;
    res.writeHead(302, {Location: '/other'}).end();
  });
  expect((await asked()).status).toBe(302);
  expect(requests).toBe(1);
});

test.for<[name: string, RequestListener]>([
  ['too long', (_req, res) => res.end('x'.repeat(2_000))],
  ['endless', (_req, res) => void Readable.from(endless()).pipe(res)],
  [
    'cut off',
    (_req, res) => void res.writeHead(200, {'Content-Length': 100}).write('x', () => res.destroy()),
  ],
  ['no answer', (req) => void req.socket.destroy()],
])('an answer that is %s is an error of the peer', async ([, listener], {scope}) => {
  const asked = await site(scope, listener);
  await expect(asked({maxBytes: 1_000})).rejects.toMatchObject({code: 'ISSUER_FAILED'});
  await expect(asked({maxBytes: 1_000, kind: 'relay'})).rejects.toMatchObject({
    code: expect.stringMatching(/^RELAY_(LOST|NOT_TUNL)$/),
  });
});

test('silence ends after the time limit, and on request', async ({scope}) => {
  const asked = await site(scope, () => {});
  await expect(asked({timeoutMs: 50})).rejects.toMatchObject({code: 'ISSUER_FAILED'});
  const stop = new AbortController();
  const waiting = asked({signal: stop.signal});
  stop.abort();
  await expect(waiting).rejects.toMatchObject({code: 'ABORTED'});
});

test('the certificate is checked', async ({scope}) => {
  const asked = await site(scope, (_req, res) => res.end());
  await expect(asked({ca: undefined})).rejects.toMatchObject({code: 'ISSUER_FAILED'});
  await expect(asked({ca: undefined, kind: 'relay'})).rejects.toMatchObject({code: 'RELAY_CERTIFICATE'});
});

test('a peer without TLS or HTTP is an error of the peer', async ({scope}) => {
  const port = await scope.listen(createTcp((socket) => void socket.end('SSH-2.0-x\r\n')));
  const url = new URL(`https://localhost:${port}/`);
  await expect(ask({url, kind: 'issuer', env: {}})).rejects.toMatchObject({code: 'ISSUER_FAILED'});
});
