// The token of a tunnel over time: a stored login is renewed at half of its life, by one process at a time.

import {createServer, type Server} from 'node:https';
import {expect, vi} from 'vitest';
import {type Context, Contexts} from '../../src/lib/agent/login/contexts.js';
import {createLogger} from '../../src/lib/core/logger.js';
import {logOut} from '../../src/lib/login.js';
import {TokenSource} from '../../src/lib/token-source.js';
import {createAuthority} from '../helpers/certificates.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const {loaded} = vi.hoisted(() => ({loaded: [] as string[]}));

vi.mock('oauth4webapi', async (original) => {
  loaded.push('oauth4webapi');
  return await original<object>();
});

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const idToken = (url: string) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const seconds = Math.floor(Date.now() / 1_000);
  const claims = {iss: url, sub: 'ana', aud: 'tunl', iat: seconds, exp: seconds + 600};
  return `${part({alg: 'RS256'})}.${part(claims)}.AAAA`;
};

/** A relay that is its own issuer. */
async function setUp(scope: Scope) {
  const authority = await createAuthority();
  const asked: string[] = [];
  const state = {refuses: false, login: {expiresAt: inMs(12 * HOUR)} as object, status: 200};
  /** By path: what happens between a request and its answer. */
  const meanwhile = new Map<string, () => Promise<unknown>>();
  let url = '';
  const server: Server = createServer(await authority.issue(['localhost']), async (req, res) => {
    let body = '';
    for await (const piece of req) body += piece;
    const path = req.url ?? '';
    const json = (value: object, status = 200) =>
      res.writeHead(status, {'Content-Type': 'application/json'}).end(JSON.stringify(value));
    asked.push(path);
    await meanwhile.get(path)?.();
    if (path === '/.well-known/openid-configuration') json({issuer: url, token_endpoint: `${url}/token`});
    else if (path === '/token' && state.refuses) json({error: 'invalid_grant'}, 400);
    else if (path === '/token') {
      asked.push(new URLSearchParams(body).get('refresh_token') ?? '');
      json({access_token: 'x', token_type: 'bearer', id_token: idToken(url), refresh_token: 'second'});
    } else if (path === '/agent/login') {
      asked.push(String(req.headers['tunl-renew'] ?? 'new'));
      json(state.login, state.status);
    } else if (path === '/agent/logout') {
      asked.push(String(req.headers.authorization));
      json({});
    } else json({}, 404);
  });
  url = `https://localhost:${await scope.listen(server)}`;
  const stateDir = await scope.tempDir('state');
  const contexts = new Contexts(stateDir);
  const place = {origin: url, ca: authority.cert, ownCa: undefined};
  const log: string[] = [];
  const source = (token: () => Promise<string | undefined>, context?: string) => {
    const made = new TokenSource({
      chosen: {origin: url, caFile: undefined, context, token, tokenKey: ''},
      ...{place, stateDir, log: createLogger('agent', ({message}) => void log.push(message))},
    });
    scope.onEnd(() => made.close());
    return made;
  };
  const stored = async (more: Partial<Context>) => {
    const renewal = {issuer: url, clientId: 'tunl', refreshToken: 'first', at: 0};
    await contexts.save({name: 'here', relay: url, token: 'tunl_login_one', renewal, ...more});
    return source(async () => (await contexts.get('here').catch(() => undefined))?.token, 'here');
  };
  return {url, stateDir, state, meanwhile, asked, contexts, source, stored, log, idToken: () => idToken(url)};
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

// Before the other tests, which renew.
test('the code of a renewal is loaded with the first link: until its time an upgrade may remove the files', async ({
  scope,
}) => {
  const {url, stored, asked} = await setUp(scope);
  const renewal = {issuer: url, clientId: 'tunl', refreshToken: 'first', at: Date.now() + HOUR};
  const tokens = await stored({expiresAt: inMs(2 * HOUR), renewal});
  expect(loaded).toEqual([]);
  await tokens.current();
  await until(async () => loaded.length > 0);
  expect(asked).toEqual([]);
});

test('a login past half of its life is renewed in the background, and the token stays', async ({scope}) => {
  const {asked, contexts, stored, state} = await setUp(scope);
  const tokens = await stored({expiresAt: inMs(HOUR)});
  expect(await tokens.current()).toBe('tunl_login_one');
  await until(
    async () =>
      (await contexts.get('here')).renewal?.refreshToken === 'second' && asked.includes('/agent/login'),
  );
  await until(async () => ((await contexts.get('here')).renewal?.at ?? 0) > Date.now());
  expect(asked).toContain('tunl_login_one');
  const after = await contexts.get('here');
  expect(after).toMatchObject({token: 'tunl_login_one', ...state.login});
  expect(after.renewal?.at).toBeGreaterThan(Date.now() + 5 * HOUR);
  const before = asked.length;
  expect(await tokens.current()).toBe('tunl_login_one');
  expect(asked.length).toBe(before);
});

test('a link waits for the renewal of a login that has ended', async ({scope}) => {
  const {stored, state} = await setUp(scope);
  state.login = {expiresAt: inMs(12 * HOUR), token: 'tunl_login_two'};
  const tokens = await stored({expiresAt: inMs(-HOUR)});
  expect(await tokens.current()).toBe('tunl_login_two');
});

test('several tunnels renew once: a refresh token may be good for one time only', async ({scope}) => {
  const {asked, stored} = await setUp(scope);
  const one = await stored({expiresAt: inMs(-HOUR)});
  const other = await stored({expiresAt: inMs(-HOUR)});
  await Promise.all([one.current(), other.current(), one.current()]);
  expect(asked.filter((each) => each === 'first')).toHaveLength(1);
  expect(asked).not.toContain('second');
});

test('a login that the issuer no longer renews is left as it is, and not tried again', async ({scope}) => {
  const {asked, stored, state, contexts, log} = await setUp(scope);
  state.refuses = true;
  const tokens = await stored({expiresAt: inMs(-HOUR)});
  expect(await tokens.current()).toBe('tunl_login_one');
  expect((await contexts.get('here')).renewal).toBeUndefined();
  expect(log).toEqual(['the login could not be renewed']);
  const before = asked.length;
  await tokens.current();
  expect(asked.length).toBe(before);
});

type SetUp = Awaited<ReturnType<typeof setUp>>;
const loginOfBob = async ({contexts, url}: SetUp) => {
  const renewal = {issuer: url, clientId: 'tunl', refreshToken: 'of-bob', at: Date.now() + HOUR};
  await contexts.save({
    name: 'here',
    relay: url,
    token: 'tunl_login_bob',
    expiresAt: inMs(2 * HOUR),
    renewal,
  });
};

test.for<[what: string, change: (around: SetUp) => Promise<unknown>]>([
  ['a logout', ({stateDir}) => logOut('here', stateDir)],
  ['a removed context', ({contexts}) => contexts.remove('here')],
  ['a login as somebody else', loginOfBob],
])('%s lasts, even while the login is being renewed', async ([, change], {scope}) => {
  for (const path of ['/token', '/agent/login']) {
    const around = await setUp(scope);
    const {state, meanwhile, contexts, stored, asked, log} = around;
    state.login = {expiresAt: inMs(12 * HOUR), token: 'tunl_login_two'};
    const tokens = await stored({expiresAt: inMs(-HOUR)});
    let left: Context[] | undefined;
    meanwhile.set(path, async () => {
      await change(around);
      left = await contexts.all();
    });
    await tokens.current();
    expect(left).toBeDefined();
    expect(await contexts.all()).toEqual(left);
    expect(log).toEqual([]);
    // Nobody has the token that the relay has just given.
    expect(asked.includes('Bearer tunl_login_two')).toBe(path === '/agent/login');
  }
});

test('a refused renewal does not end the login of somebody else', async ({scope}) => {
  const around = await setUp(scope);
  const {state, meanwhile, contexts, stored} = around;
  state.refuses = true;
  const tokens = await stored({expiresAt: inMs(-HOUR)});
  meanwhile.set('/token', () => loginOfBob(around));
  await tokens.current();
  expect((await contexts.get('here')).renewal?.refreshToken).toBe('of-bob');
});

test('a token of an issuer is exchanged once, and as it is at a relay that does not exchange', async ({
  scope,
}) => {
  const {asked, source, state, idToken: issued} = await setUp(scope);
  const jwt = issued();
  state.login = {expiresAt: inMs(12 * HOUR), token: 'tunl_login_job'};
  const tokens = source(async () => jwt);
  expect([await tokens.current(), await tokens.current()]).toEqual(['tunl_login_job', 'tunl_login_job']);
  expect(asked.filter((path) => path === '/agent/login')).toHaveLength(1);
  for (const [status, code] of [
    [405, 'METHOD_NOT_ALLOWED'],
    [503, 'RELAY_BUSY'],
  ] as const) {
    Object.assign(state, {status, login: {error: {code, message: 'no'}}});
    expect(await source(async () => jwt).current()).toBe(jwt);
  }
  Object.assign(state, {status: 401, login: {error: {code: 'TOKEN_WRONG', message: 'no'}}});
  await expect(source(async () => jwt).current()).rejects.toMatchObject({code: 'TOKEN_WRONG'});
});

test('a job’s login that could not be renewed is tried again, and a refused token only after it was replaced', async ({
  scope,
}) => {
  const {asked, source, state, log, idToken: issued} = await setUp(scope);
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'Date', 'hrtime']});
  scope.onEnd(() => void vi.useRealTimers());
  const exchanges = () => asked.filter((path) => path === '/agent/login').length;
  const fail = (status: number, code: string) =>
    Object.assign(state, {status, login: {error: {code, message: 'no'}}});
  const answer = (token: string) =>
    Object.assign(state, {status: 200, login: {expiresAt: inMs(HOUR), token}});
  let jwt = issued();
  let reads = 0;
  answer('tunl_login_job');
  const tokens = source(async () => {
    reads += 1;
    return jwt;
  });
  await tokens.current();
  fail(503, 'RELAY_BUSY');
  vi.advanceTimersByTime(HOUR / 2);
  await until(async () => log.length === 1);
  fail(401, 'TOKEN_EXPIRED');
  vi.advanceTimersByTime(MINUTE);
  await until(async () => log.length === 2);
  expect(exchanges()).toBe(3);
  // The same token is not sent again.
  vi.advanceTimersByTime(MINUTE);
  await until(async () => reads === 4);
  expect(exchanges()).toBe(3);
  jwt = `${jwt}B`;
  answer('tunl_login_next');
  vi.advanceTimersByTime(MINUTE);
  await until(async () => (await tokens.current()) === 'tunl_login_next');
  expect(exchanges()).toBe(4);
  expect(log).toEqual(Array.from({length: 2}, () => 'the token could not be renewed'));
});

test('a job’s login is renewed after a sleep of the machine, during which the timers stand still', async ({
  scope,
}) => {
  const {asked, source, state, idToken: issued} = await setUp(scope);
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'Date', 'hrtime']});
  scope.onEnd(() => void vi.useRealTimers());
  const exchanges = () => asked.filter((path) => path === '/agent/login').length;
  state.login = {expiresAt: inMs(12 * HOUR), token: 'tunl_login_job'};
  await source(async () => issued()).current();
  vi.advanceTimersByTime(MINUTE);
  expect(exchanges()).toBe(1);
  vi.setSystemTime(Date.now() + 8 * HOUR);
  vi.advanceTimersByTime(MINUTE);
  await until(async () => exchanges() === 2);
});

test('a relay that is busy after the end of a job’s login gets the issuer’s token', async ({scope}) => {
  const {source, state, idToken: issued} = await setUp(scope);
  const jwt = issued();
  state.login = {expiresAt: inMs(-HOUR), token: 'tunl_login_job'};
  const tokens = source(async () => jwt);
  await tokens.current();
  Object.assign(state, {status: 503, login: {error: {code: 'RELAY_BUSY', message: 'no'}}});
  expect(await tokens.current()).toBe(jwt);
});

test('other tokens are sent as they are', async ({scope}) => {
  const {asked, source} = await setUp(scope);
  expect(await source(async () => 'a-token-of-the-relay').current()).toBe('a-token-of-the-relay');
  expect(await source(async () => undefined).current()).toBeUndefined();
  expect(asked).toEqual([]);
});
