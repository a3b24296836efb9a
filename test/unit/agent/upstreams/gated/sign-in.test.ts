// `--oidc`: only a browser that began the sign-in ends it, and only an allowed person gets in.

import {createServer} from 'node:http';
import type {JWTPayload} from 'jose';
import {describe, expect, vi} from 'vitest';
import {conditionOf} from '../../../../../src/lib/agent/upstreams/gated/sign-in-gate.js';
import {eventually} from '../../../../helpers/eventually.js';
import {get, HOST, startGated} from '../../../../helpers/gated.js';
import {startIssuer} from '../../../../helpers/issuer.js';
import type {Scope} from '../../../../helpers/scope.js';
import {test} from '../../../../helpers/test.js';

const {loaded} = vi.hoisted(() => ({loaded: [] as string[]}));

vi.mock('oauth4webapi', async (original) => {
  loaded.push('oauth4webapi');
  return await original<object>();
});

const PAGE = 'Accept: text/html';
const CLOSE = 'Connection: close';
const BACK = '/.well-known/tunl/signed-in';
const ANA = {sub: 'a1', email: 'Ana@example.com', email_verified: true, groups: ['dev']};

async function setUp(scope: Scope, allow: readonly string[] = ['ana@example.com']) {
  const seen: string[] = [];
  const upstream = createServer((req, res) => {
    seen.push(`${req.url} ${req.rawHeaders.join('|')}`);
    res.setHeader('connection', 'close');
    res.end('in');
  });
  const port = await scope.listen(upstream);
  const issuer = await startIssuer(scope);
  const state = {
    claims: {} as JWTPayload & Record<string, unknown>,
    userInfo: undefined as object | undefined,
    tokens: 0,
  };
  let idToken = '';
  issuer.answer = (path) => {
    const json = (value: object) => ({status: 200, body: JSON.stringify(value)});
    if (path.includes('well-known')) {
      return json({
        issuer: issuer.url,
        authorization_endpoint: `${issuer.url}/auth?p=1`,
        token_endpoint: `${issuer.url}/token`,
        id_token_signing_alg_values_supported: ['ES256'],
        ...(state.userInfo !== undefined && {userinfo_endpoint: `${issuer.url}/userinfo`}),
      });
    }
    if (path === '/userinfo') return json(state.userInfo ?? {});
    if (path !== '/token') return undefined;
    state.tokens += 1;
    return json({access_token: 'x', token_type: 'bearer', id_token: idToken});
  };
  const failed: string[] = [];
  const gated = startGated(scope, port, {
    signIn: {
      issuer: issuer.url,
      clientId: 'site',
      secret: undefined,
      trust: {ca: issuer.ca},
      allow,
      onFailed: (reason) => failed.push(reason),
    },
  });
  const {say} = gated;
  const begin = async (path = '/p?x=1') => {
    const answer = await say(get(path, [PAGE, CLOSE]));
    const to = new URL(/^location: (.*)\r$/im.exec(answer)?.[1] ?? 'https://nowhere.test');
    return {answer, to, cookie: cookieOf(answer), state: to.searchParams.get('state') ?? ''};
  };
  /** The issuer answers with these claims to the attempt. */
  const end = async (
    {to, cookie, state: sent}: Awaited<ReturnType<typeof begin>>,
    claims: Record<string, unknown> = ANA,
    query = `code=c&state=${sent}`,
  ) => {
    idToken = await issuer.token({aud: 'site', nonce: to.searchParams.get('nonce'), ...claims});
    return await say(
      get(`${BACK}?${query}`, [PAGE, CLOSE, ...(cookie === '' ? [] : [`Cookie: ${cookie}`, CLOSE])]),
    );
  };
  return {issuer, seen, failed, say, begin, end, state, ...{gates: gated.gates}};
}

const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
const cookieOf = (answer: string) => /set-cookie: ([^;]+)/i.exec(answer)?.[1] ?? '';
const locationOf = (answer: string) => /^location: (.*)\r$/im.exec(answer)?.[1];

// Before the other tests, which sign in.
test('the code of a sign-in is loaded with the gate: until the first visitor an upgrade may remove the files', async ({
  scope,
}) => {
  expect(loaded).toEqual([]);
  const {issuer} = await setUp(scope);
  await eventually(() => expect(loaded).toHaveLength(1));
  expect(issuer.requests).toBe(0);
});

test('a browser goes to the issuer, comes back to its page, and is in with a cookie', async ({scope}) => {
  const {begin, end, say, seen} = await setUp(scope);
  const attempt = await begin('//evil.test/p?x=1');
  expect(status(attempt.answer)).toBe(303);
  expect(Object.fromEntries(attempt.to.searchParams)).toMatchObject({
    p: '1',
    client_id: 'site',
    response_type: 'code',
    redirect_uri: `https://${HOST}${BACK}`,
    code_challenge_method: 'S256',
    scope: 'openid email profile',
  });
  expect(attempt.answer).toMatch(
    /set-cookie: __Host-tunl-signin-\S+; Path=\/; Max-Age=600; Secure; HttpOnly; SameSite=Lax/,
  );
  const back = await end(attempt);
  expect([status(back), locationOf(back)]).toEqual([303, `https://${HOST}//evil.test/p?x=1`]);
  const inside = await say(get('/p', [`Cookie: ${cookieOf(back)}; ${attempt.cookie}; own=1`, CLOSE]));
  expect(status(inside)).toBe(200);
  expect(seen).toHaveLength(1);
  expect(seen[0]).toContain('|Tunl-Visitor|Ana@example.com');
  expect(seen[0]).toContain('|own=1');
  expect(seen[0]).not.toContain('__Host-tunl');
});

test('who does not navigate gets an answer for programs, and the issuer is not asked', async ({scope}) => {
  const {say, issuer, seen} = await setUp(scope);
  const upgrade = [
    'Connection: Upgrade, close',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: eA==',
    'Sec-WebSocket-Version: 13',
  ];
  for (const headers of [[CLOSE], [PAGE, CLOSE, 'Sec-Fetch-Mode: cors'], [PAGE, ...upgrade]]) {
    const answer = await say(get('/', headers));
    expect(status(answer)).toBe(401);
    expect(answer).toContain('SIGN_IN_NEEDED');
    expect(locationOf(answer)).toBeUndefined();
  }
  expect([issuer.requests, seen]).toEqual([0, []]);
});

describe('a sign-in that is not right', () => {
  type Setup = Awaited<ReturnType<typeof setUp>>;
  test.for<[name: string, code: number, run: (with_: Setup) => Promise<string>]>([
    [
      'without the cookie of the attempt',
      400,
      async ({begin, end}) => await end({...(await begin()), cookie: ''}),
    ],
    [
      'with the cookie of another attempt',
      400,
      async ({begin, end}) => {
        const {cookie} = await begin();
        return await end({...(await begin()), cookie});
      },
    ],
    [
      'with a changed cookie',
      400,
      async ({begin, end}) => {
        const attempt = await begin();
        return await end({
          ...attempt,
          cookie: attempt.cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
        });
      },
    ],
    ['without a state', 400, async ({begin, end}) => await end(await begin(), ANA, 'code=c')],
    [
      'with two states',
      502,
      async ({begin, end}) => {
        const attempt = await begin();
        return await end(attempt, ANA, `code=c&state=${attempt.state}&state=x`);
      },
    ],
    [
      'that the person refused',
      502,
      async ({begin, end}) => {
        const attempt = await begin();
        return await end(attempt, ANA, `error=access_denied&state=${attempt.state}`);
      },
    ],
    [
      'with the nonce of another one',
      502,
      async ({begin, end}) => await end(await begin(), {...ANA, nonce: 'other'}),
    ],
    [
      'with a token for another client',
      502,
      async ({begin, end}) => await end(await begin(), {...ANA, aud: 'other'}),
    ],
    [
      'of another issuer',
      502,
      async ({begin, end}) => await end(await begin(), {...ANA, iss: 'https://other.example'}),
    ],
    ['that has expired', 502, async ({begin, end}) => await end(await begin(), {...ANA, exp: 1})],
    [
      'of somebody else',
      403,
      async ({begin, end}) => await end(await begin(), {...ANA, email: 'bob@example.com'}),
    ],
    [
      'with an address that is not verified',
      403,
      async ({begin, end}) => await end(await begin(), {...ANA, email_verified: false}),
    ],
    ['without an address', 403, async ({begin, end}) => await end(await begin(), {sub: 'ana@example.com'})],
  ])('%s: %i', async ([, code, run], {scope}) => {
    const made = await setUp(scope);
    const answer = await run(made);
    expect(status(answer)).toBe(code);
    expect(cookieOf(answer)).toBe('');
    expect(made.seen).toEqual([]);
    // The reason goes to the owner, not to the visitor.
    expect(made.failed.length).toBe(code === 502 ? 1 : 0);
  });
});

test('the cookie of one tunnel is worth nothing at another one', async ({scope}) => {
  const one = await setUp(scope);
  const cookie = cookieOf(await one.end(await one.begin()));
  expect(status(await one.say(get('/', [`Cookie: ${cookie}`, CLOSE])))).toBe(200);
  const other = await setUp(scope);
  expect(status(await other.say(get('/', [`Cookie: ${cookie}`, CLOSE])))).toBe(401);
});

test.for(['ANA@example.com', 'email=Ana@Example.com', 'email=*@Example.COM'])(
  'the case of an address does not matter: %s',
  async (who, {scope}) => {
    const {begin, end} = await setUp(scope, [who]);
    expect(status(await end(await begin()))).toBe(303);
  },
);

test('groups, and an address that only the page about the user has', async ({scope}) => {
  const groups = await setUp(scope, ['groups=dev']);
  expect(status(await groups.end(await groups.begin(), {sub: 'a1', groups: ['ops', 'dev']}))).toBe(303);
  const info = await setUp(scope, ['*@example.com']);
  info.state.userInfo = {...ANA, sub: 'a1'};
  expect(status(await info.end(await info.begin(), {sub: 'a1'}))).toBe(303);
  const other = await setUp(scope, ['*@example.com']);
  other.state.userInfo = {...ANA, sub: 'somebody else'};
  expect(status(await other.end(await other.begin(), {sub: 'a1'}))).toBe(502);
});

test('an issuer that is away: a page, few requests to it, and none of its words', async ({scope}) => {
  const {issuer, begin, failed} = await setUp(scope);
  issuer.answer = () => ({status: 500, body: '{"error":"SECRET of the issuer"}'});
  const answers = [];
  for (let visits = 0; visits < 20; visits += 1) answers.push((await begin()).answer);
  expect(answers.map(status)).toEqual(Array(20).fill(502));
  expect(answers.join('')).not.toContain('SECRET');
  expect(issuer.requests).toBe(1);
  expect(failed).toHaveLength(20);
});

test('wrong answers are limited for each address', async ({scope}) => {
  const {begin, end, state} = await setUp(scope);
  const attempt = await begin();
  const codes = new Set<number>();
  for (let tries = 0; tries < 15; tries += 1) codes.add(status(await end(attempt, {...ANA, nonce: 'wrong'})));
  expect([...codes]).toEqual([502, 429]);
  expect(state.tokens).toBeLessThanOrEqual(11);
});

test.each(['', '@', 'ana', 'a b@example.com', '=x', '@example.com '])(
  '%j says of nobody who may visit',
  (who) => {
    expect(() => conditionOf(who)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
  },
);
