// `--private`: what lets a visitor in, what the upstream sees of it, and how links end.

import {once} from 'node:events';
import {createServer} from 'node:http';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {expect} from 'vitest';
import {Links} from '../../../../../src/lib/agent/upstreams/gated/links.js';
import {get, HOST, startGated} from '../../../../helpers/gated.js';
import type {Scope} from '../../../../helpers/scope.js';
import {test} from '../../../../helpers/test.js';

/** Answers with the request that it got. */
async function mirror(scope: Scope) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.rawHeaders.join('|')}`);
    response.setHeader('connection', 'close');
    response.end(JSON.stringify({url: request.url, headers: request.rawHeaders}));
  });
  return {port: await scope.listen(server), seen};
}

async function setUp(scope: Scope) {
  const upstream = await mirror(scope);
  return {...upstream, ...startGated(scope, upstream.port)};
}

const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
const cookieOf = (answer: string) => /set-cookie: ([^;]+)/i.exec(answer)?.[1] ?? '';
const PAGE = 'Accept: text/html,application/xhtml+xml';

test('without the link nobody reaches the upstream: a page for browsers, JSON for programs, never a redirect', async ({
  scope,
}) => {
  const {say, seen, dialled} = await setUp(scope);
  const program = await say(get('/secret'));
  expect(status(program)).toBe(401);
  expect(JSON.parse(program.split('\r\n\r\n')[1] ?? '')).toMatchObject({error: {code: 'LINK_NEEDED'}});
  const browser = await say(get('/secret', [PAGE]));
  expect([status(browser), browser.includes('<h1>This page is private</h1>')]).toEqual([401, true]);
  // A request of a page for data gets data.
  const fetched = await say(get('/secret', [PAGE, 'Sec-Fetch-Mode: cors']));
  expect(fetched).toContain('application/json');
  for (const answer of [program, browser, fetched]) expect(answer).not.toMatch(/location:/i);
  expect([seen, dialled]).toEqual([[], []]);
});

test('a link, a bearer and a header let in; the upstream sees none of them', async ({scope}) => {
  const {say, seen, token} = await setUp(scope);
  const forms: [path: string, headers: string[]][] = [
    [`/a?x=1&tunl=${token}&y=%20`, []],
    [`/a?tunl=${token}`, []],
    ['/a?x=1&y=%20', [`Authorization: Bearer ${token}`]],
    ['/a', [`tUNL-Access: ${token}`]],
    ['/a', [`Tunl_Access: nonsense`, `Tunl-Access: ${token}`, 'Tunl-Visitor: root', 'tunl_visitor: root']],
  ];
  for (const [path, headers] of forms) expect(status(await say(get(path, headers)))).toBe(200);
  expect(seen.map((line) => line.split(' ')[1])).toEqual(['/a?x=1&y=%20', '/a', '/a?x=1&y=%20', '/a', '/a']);
  for (const line of seen) {
    expect(line).not.toContain(token);
    expect(line).not.toMatch(/access|root|bearer/i);
    expect(line).toContain('|Tunl-Visitor|link');
  }
});

test('the upstream gets a bearer of its own from a visitor who is in by other means', async ({scope}) => {
  const {say, seen, token} = await setUp(scope);
  await say(get('/', [`Tunl-Access: ${token}`, 'Authorization: Bearer its-own.token']));
  expect(seen[0]).toContain('Authorization|Bearer its-own.token');
});

test('a browser changes the link for a cookie and the clean address, and is in with it after a reload', async ({
  scope,
}) => {
  const {say, seen, token} = await setUp(scope);
  const welcome = await say(get(`//evil.test/p?a=1&tunl=${token}&b`, [PAGE, 'Connection: close']));
  expect(status(welcome)).toBe(303);
  expect(welcome).toContain(`location: https://${HOST}//evil.test/p?a=1&b\r\n`);
  expect(welcome).toMatch(
    /set-cookie: __Host-tunl-link-[0-9a-f]{8}=\S+; Path=\/; Max-Age=\d+; Secure; HttpOnly; SameSite=Lax/,
  );
  expect(welcome).toContain('referrer-policy: no-referrer');
  expect(seen).toEqual([]);
  const cookie = cookieOf(welcome);
  expect(cookie).not.toContain(token);
  for (const _ of [1, 2]) {
    const own = `own=1; ${cookie}; __Host-tunl-link-00000000=other; last=2`;
    expect(status(await say(get('/p', [PAGE, `Cookie: ${own}`])))).toBe(200);
  }
  expect(seen.at(-1)).toContain('Cookie|own=1; last=2');
  expect(seen.join()).not.toContain('__Host-tunl');
});

test('forged, cut, foreign and expired cookies are refused', async ({scope}) => {
  const one = await setUp(scope);
  const other = await setUp(scope);
  const cookie = cookieOf(await one.say(get(`/?tunl=${one.token}`, [PAGE, 'Connection: close'])));
  const [name = '', value = ''] = cookie.split(/=(.*)/);
  const [subject, expires, signature = ''] = value.split('.');
  const later = `${subject}.${Number(expires) + 1}.${signature}`;
  const wrong = [
    `${name}=${later}`,
    `${name}=${subject}.1.${signature}`,
    `${name}=${value.slice(0, -1)}`,
    `${name}=${value}x`,
    `${name}=${subject}.${expires}.`,
    `${name}=`,
    `${name}=${value}.${value}`,
    `${name.slice(0, -1)}x=${value}`,
    `${name}=${Buffer.from('zzzzzz.aaaaaaaaaaaa').toString('base64url')}.${expires}.${signature}`,
  ];
  for (const each of wrong)
    expect([each, status(await one.say(get('/', [`Cookie: ${each}`])))]).toEqual([each, 401]);
  expect(status(await other.say(get('/', [`Cookie: ${cookie}`])))).toBe(401);
  expect(status(await one.say(get('/', [`Cookie: ${cookie}`])))).toBe(200);
  expect(one.seen).toHaveLength(1);
});

test('wrong tokens in all places are refused', async ({scope}) => {
  const {say, token, seen} = await setUp(scope);
  const wrong = [
    '',
    'x',
    token.slice(0, -1),
    `${token}a`,
    `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`,
    token.toUpperCase(),
  ];
  for (const each of wrong) {
    expect(status(await say(get(`/?tunl=${each}`)))).toBe(401);
    expect(status(await say(get('/', [`Tunl-Access: ${each}`])))).toBe(401);
    expect(status(await say(get('/', [`Authorization: Bearer ${each}`])))).toBe(401);
  }
  expect(seen).toEqual([]);
});

test('each request on a kept connection is checked', async ({scope}) => {
  const server = createServer((_request, response) => response.end('in'));
  const {visit, token} = startGated(scope, await scope.listen(server));
  const visitor = await visit();
  visitor.socket.write(get('/', [`Tunl-Access: ${token}`]));
  await visitor.hears(/in$/);
  visitor.socket.write(get('/', []));
  expect(await visitor.hears(/LINK_NEEDED/)).toContain('HTTP/1.1 401');
});

test('a shared link: its visitor’s name reaches the upstream, and it works once where that is asked', async ({
  scope,
}) => {
  const {say, gates, seen} = await setUp(scope);
  const tokenOf = ({url}: {url: string}) => url.split('tunl=')[1] ?? '';
  const named = gates.share({visitor: 'ana@example.com'});
  expect(named.url).toBe(`https://${HOST}/?tunl=${tokenOf(named)}`);
  await say(get('/', [`Tunl-Access: ${tokenOf(named)}`]));
  expect(seen[0]).toContain('Tunl-Visitor|ana@example.com');
  const once = gates.share({once: true});
  expect(once.once).toBe('unused');
  const path = `/?tunl=${tokenOf(once)}`;
  // What looks at a page ahead does not use it up.
  expect(status(await say(get(path, [PAGE, 'Sec-Purpose: prefetch', 'Connection: close'])))).toBe(401);
  const welcome = await say(get(path, [PAGE, 'Connection: close']));
  expect(status(welcome)).toBe(303);
  expect(gates.links.find(({id}) => id === once.id)?.once).toBe('used');
  expect(status(await say(get(path, [PAGE])))).toBe(401);
  expect(status(await say(get('/', [`Tunl-Access: ${tokenOf(once)}`])))).toBe(401);
  const mine = [`Cookie: ${cookieOf(welcome)}`, 'Connection: close'];
  expect(status(await say(get('/', mine)))).toBe(200);
  // Its browser may open it again.
  expect(status(await say(get(path, [PAGE, ...mine])))).toBe(303);
  expect(() => gates.share({visitor: 'a b\r\nX: y'})).toThrow('visitor’s name');
});

test('after a revoke new requests are refused, and open ones are cut off', async ({scope}) => {
  const server = createServer((_request, response) => {
    response.write('begun');
  });
  const {visit, say, gates} = startGated(scope, await scope.listen(server));
  const {id, url} = gates.share();
  const token = url.split('tunl=')[1];
  const visitor = await visit();
  const other = await visit();
  const [upstream] = await Promise.all([
    once(server, 'connection'),
    visitor.socket.write(get('/', [`Tunl-Access: ${token}`])),
  ]);
  other.socket.write(get('/', [`Tunl-Access: ${gates.linkTo(`https://${HOST}/`)?.split('tunl=')[1]}`]));
  await Promise.all([visitor.hears(/begun/), other.hears(/begun/)]);
  expect(gates.revoke(id)).toMatchObject({id});
  await visitor.closed;
  expect((await once(upstream[0], 'error'))[0]).toMatchObject({code: 'ECONNRESET'});
  expect(status(await say(get('/', [`Tunl-Access: ${token}`])))).toBe(401);
  expect(gates.links.map((link) => link.id)).not.toContain(id);
  expect(() => gates.revoke(id)).toThrow(expect.objectContaining({code: 'LINK_UNKNOWN'}));
  expect(other.socket.destroyed).toBe(false);
});

test('a link that expires cuts its visitors off', async ({scope}) => {
  const server = createServer((_request, response) => {
    response.write('begun');
  });
  const {visit, say, gates} = startGated(scope, await scope.listen(server));
  const {url, expiresAt} = gates.share({expiresMs: 1_500});
  expect(Date.parse(expiresAt ?? '')).toBeGreaterThan(Date.now());
  const token = url.split('tunl=')[1];
  const visitor = await visit();
  visitor.socket.write(get('/', [`Tunl-Access: ${token}`]));
  await visitor.hears(/begun/);
  await visitor.closed;
  expect(status(await say(get('/', [`Tunl-Access: ${token}`])))).toBe(401);
});

test.for<[string, string[]]>([
  ['a request', []],
  ['a WebSocket', ['Connection: Upgrade', 'Upgrade: websocket']],
])(
  'a link that is revoked while the password is checked lets nobody in: %s',
  async ([, headers], {scope}) => {
    const {port, seen} = await mirror(scope);
    const {visit, gates} = startGated(scope, port, {
      isPrivate: true,
      basicAuth: {user: 'guest', password: 'some long password'},
    });
    const {id, url} = gates.share({once: true});
    const visitor = await visit();
    const login = `Basic ${Buffer.from('guest:some long password').toString('base64')}`;
    const lines = [`Tunl-Access: ${url.split('tunl=')[1]}`, `Authorization: ${login}`, ...headers];
    visitor.socket.write(get('/', lines));
    // The first gate has let the request through, and in the same turn the check of the password began.
    while (gates.links.find((link) => link.id === id)?.once !== 'used') await nextTurn();
    gates.revoke(id);
    expect(status(await visitor.hears(/LINK_INVALID/))).toBe(401);
    expect(seen).toEqual([]);
  },
);

test('a listener for the end of a link that has ended is called', () => {
  const links = new Links();
  const {link} = links.add();
  links.revoke(link.id);
  const over: string[] = [];
  link.onOver(() => over.push('late'));
  expect(over).toEqual(['late']);
});
