// `--basic-auth`: names, passwords, cookies, limits on guesses, and what the upstream sees.

import {createServer} from 'node:http';
import {expect} from 'vitest';
import {GuessLimit} from '../../../../../src/lib/agent/upstreams/gated/guess-limit.js';
import {Password} from '../../../../../src/lib/agent/upstreams/gated/password.js';
import {TunnelGates} from '../../../../../src/lib/agent/upstreams/gated/tunnel-gates.js';
import {get, startGated} from '../../../../helpers/gated.js';
import type {Scope} from '../../../../helpers/scope.js';
import {test} from '../../../../helpers/test.js';

const PASSWORD = 'söme long password';
const basic = (user: string, password: string) =>
  `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
const CLOSE = 'Connection: close';

async function setUp(scope: Scope, more: {isPrivate?: boolean} = {}) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(request.rawHeaders.join('|'));
    response.end('in');
  });
  const port = await scope.listen(server);
  return {seen, ...startGated(scope, port, {basicAuth: {user: 'guest', password: PASSWORD}, ...more})};
}

test('the right name and password let in; the upstream sees the name alone', async ({scope}) => {
  const {say, seen} = await setUp(scope);
  const asked = await say(get('/', ['Accept: text/html']));
  expect(status(asked)).toBe(401);
  expect(asked).toContain('www-authenticate: Basic realm="tunl", charset="UTF-8"');
  expect(asked).toContain('<h1>This page needs a password</h1>');
  const wrong = [
    basic('guest', 'wrong password'),
    basic('Guest', PASSWORD),
    basic('', PASSWORD),
    basic('guest', `${PASSWORD} `),
    'Authorization: Basic !!!',
    'Authorization: Basic Z3Vlc3Q=',
    `Authorization: Bearer ${PASSWORD.replaceAll(/\W/g, '')}`,
  ];
  for (const header of wrong) expect([header, status(await say(get('/', [header])))]).toEqual([header, 401]);
  expect(status(await say(get('/', [basic('guest', PASSWORD), basic('guest', PASSWORD)])))).toBe(401);
  expect(seen).toEqual([]);
  expect(status(await say(get('/', [basic('guest', PASSWORD), CLOSE])))).toBe(200);
  expect(seen[0]).not.toContain('Authorization');
  expect(seen[0]).toContain('Tunl-Visitor|guest');
});

test('a browser gets a cookie, with which a WebSocket needs no password', async ({scope}) => {
  const {say, seen} = await setUp(scope);
  const page = await say(get('/', ['Accept: text/html', basic('guest', PASSWORD), CLOSE]));
  const cookie = /Set-Cookie: (__Host-tunl-basic-[0-9a-f]{8}=[^;]+);/.exec(page)?.[1] ?? '';
  expect(status(page)).toBe(200);
  expect(status(await say(get('/', [`Cookie: ${cookie}`, CLOSE])))).toBe(200);
  expect(seen.at(-1)).not.toContain('Cookie');
  // A browser sends both.
  expect(status(await say(get('/', [`Cookie: ${cookie}`, basic('guest', PASSWORD), CLOSE])))).toBe(200);
  expect(seen.at(-1)).not.toContain('Authorization');
  const other = await setUp(scope);
  expect(status(await other.say(get('/', [`Cookie: ${cookie}`])))).toBe(401);
  // A program gets none.
  expect(await say(get('/', [basic('guest', PASSWORD), CLOSE]))).not.toContain('Set-Cookie');
});

test('with --private both are needed', async ({scope}) => {
  const {say, token, seen} = await setUp(scope, {isPrivate: true});
  expect(status(await say(get('/', [basic('guest', PASSWORD)])))).toBe(401);
  expect(await say(get('/', [`Tunl-Access: ${token}`]))).toContain('PASSWORD_NEEDED');
  expect(status(await say(get('/', [`Tunl-Access: ${token}`, basic('guest', PASSWORD), CLOSE])))).toBe(200);
  expect(seen).toHaveLength(1);
  expect(seen[0]).toContain('Tunl-Visitor|guest');
});

test('guesses are limited by address, also right ones; visitors who are in are not', async ({scope}) => {
  const {say} = await setUp(scope);
  const from = (address: string, password: string) =>
    say(get('/', [basic('guest', password), CLOSE]), {address}).then(status);
  expect(await from('198.51.100.1', PASSWORD)).toBe(200);
  const statuses: number[] = [];
  for (let i = 0; i < 12; i += 1) statuses.push(await from('203.0.113.9', `wrong password ${i}`));
  expect(statuses.slice(0, 10)).toEqual(Array(10).fill(401));
  expect(statuses.at(-1)).toBe(429);
  // The header that was right before is known, so it costs no guess.
  expect(await from('203.0.113.9', PASSWORD)).toBe(200);
  expect(await from('203.0.113.10', 'wrong password')).toBe(401);
});

test('the limit counts for an address, a /64 of IPv6, and all together, and recovers with time', () => {
  let now = 0;
  const limit = new GuessLimit(() => now);
  const takes = (address: string, times: number) =>
    Array.from({length: times}, () => limit.take(address) !== undefined).filter(Boolean).length;
  expect(takes('203.0.113.1', 20)).toBe(10);
  expect(takes('::ffff:203.0.113.1', 1)).toBe(0);
  expect(takes('2001:db8::1', 6) + takes('2001:db8:0:0:ffff::2', 6)).toBe(10);
  expect(takes('2001:db8:0:1::1', 1)).toBe(1);
  now += 2_000;
  expect(takes('203.0.113.1', 5)).toBe(1);
  const back = limit.take('203.0.113.2');
  back?.();
  expect(takes('203.0.113.2', 20)).toBe(10);
  // Somebody with many addresses.
  let all = 0;
  for (let i = 0; i < 300; i += 1) all += takes(`10.0.${i >> 8}.${i & 255}`, 1);
  expect(all).toBeLessThan(100);
});

test('checks of passwords are few at a time; too many are turned away', async () => {
  const password = new Password(PASSWORD);
  const all = await Promise.all(
    Array.from({length: 40}, (_, i) => password.matches(i === 0 ? PASSWORD : 'x')),
  );
  expect(all[0]).toBe(true);
  expect(all.filter((each) => each === undefined)).toHaveLength(40 - 18);
  expect(await password.matches(PASSWORD)).toBe(true);
  // The same letters in another form.
  expect(await password.matches(PASSWORD.normalize('NFD'))).toBe(true);
});

test('names and passwords that cannot work are refused at the start', () => {
  const gates = (user: string, password: string) => () =>
    new TunnelGates({
      isStream: false,
      isPrivate: false,
      basicAuth: {user, password},
      forwarded: false,
      h2: false,
      waitMs: 0,
      offlinePage: false,
    });
  expect(gates('guest', 'short')).toThrow('fewer than 8 characters');
  for (const user of ['', 'a:b', 'a b', 'ü', 'a\r\nX: y']) expect(gates(user, PASSWORD)).toThrow('not valid');
});
