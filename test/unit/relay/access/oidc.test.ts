// Tokens of an issuer: only those that are signed by its keys, made for this relay and not expired; and few requests to the
// issuer, whatever strangers send.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {base64url, exportSPKI, type JWTPayload, SignJWT} from 'jose';
import {describe, expect} from 'vitest';
import {settle} from '../../../../src/lib/core/settings.js';
import type {Verdict} from '../../../../src/lib/relay/access/access.js';
import {Oidc, type OidcValues} from '../../../../src/lib/relay/access/oidc.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {RELAY_SETTINGS} from '../../../../src/lib/relay/settings-table.js';
import {AUDIENCE, type Issuer, startIssuer} from '../../../helpers/issuer.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

async function setUp(scope: Scope, more: Partial<OidcValues> = {}) {
  const issuer = await startIssuer(scope);
  const oidcCaFile = join(await scope.tempDir(), 'ca.pem');
  await writeFile(oidcCaFile, issuer.ca);
  const settings = {
    ...settle(RELAY_SETTINGS, {stateDir: '/nowhere'}, {}),
    oidcIssuers: [issuer.url],
    oidcAudiences: [AUDIENCE],
    oidcRules: ['sub=ana name:demo tcp:20000-20010', 'sub=job-* owner:ci name:ci-*'],
    oidcCaFile,
    ...more,
  };
  const clock = new ManualClock();
  const events: RelayEvent[] = [];
  let now = Date.now();
  const oidc = new Oidc({
    settings,
    clock,
    events: {emit: (event) => void events.push(event)},
    wallNow: () => now,
  });
  let changes = 0;
  oidc.onChanged(() => {
    changes += 1;
  });
  scope.onEnd(() => oidc.close());
  await oidc.start();
  const pass = (ms: number) => {
    now += ms;
    clock.advance(ms);
  };
  return {issuer, oidc, settings, clock, events, pass, changes: () => changes};
}

const now = () => Math.floor(Date.now() / 1_000);
const codeOf = (verdict: Verdict) => (verdict.ok ? 'ok' : verdict.code);

test('a token has the owner and the scopes of the rules', async ({scope}) => {
  const {issuer, oidc} = await setUp(scope);
  const token = await issuer.token();
  expect(oidc.handles(token)).toBe(true);
  const verdict = await oidc.check(token);
  if (!verdict.ok || verdict.principal === undefined) throw new Error('refused');
  const {owner, rights, tokenId, ended, expiresAt} = verdict.principal;
  expect(owner).toMatch(/^ana\.[0-9a-f]{20}$/);
  expect(rights.scopes).toEqual(['name:demo', 'tcp:20000-20010']);
  expect(rights.allows('name', 'demo')).toBe(true);
  expect(rights.allows('name', 'other')).toBe(false);
  expect(tokenId).toMatch(/^[0-9a-f]{10}$/);
  expect(ended).toBeUndefined();
  expect(expiresAt).toBeGreaterThan(Date.now());
  const job = await oidc.check(await issuer.token({sub: 'job-7'}));
  expect(job).toMatchObject({ok: true, principal: {owner: 'ci'}});
  expect(codeOf(await oidc.check(await issuer.token({sub: 'bob'})))).toBe('NOT_ALLOWED');
});

test('a claim that makes no valid scope takes nothing from the other rules', async ({scope}) => {
  const {issuer, oidc} = await setUp(scope, {oidcRules: ['sub=* name:*', 'sub=* net:{team}']});
  const verdict = await oidc.check(await issuer.token({team: '-ops'}));
  expect(verdict).toMatchObject({ok: true, principal: {rights: {scopes: ['name:*']}}});
});

describe('refused', () => {
  const part = (value: object) => base64url.encode(JSON.stringify(value));
  const claims = ({url}: Issuer): JWTPayload => ({iss: url, sub: 'ana', aud: AUDIENCE, exp: now() + 600});

  test.for<[name: string, token: (issuer: Issuer) => string | Promise<string>]>([
    ['another audience', (issuer) => issuer.token({aud: 'https://other.example'})],
    ['no audience', (issuer) => issuer.token({aud: undefined})],
    ['an empty audience', (issuer) => issuer.token({aud: ''})],
    ['another issuer with a key of this one', (issuer) => issuer.token({iss: 'https://other.example'})],
    ['the issuer in another spelling', (issuer) => issuer.token({iss: `${issuer.url}/`})],
    ['no issuer', (issuer) => issuer.token({iss: undefined})],
    ['no subject', (issuer) => issuer.token({sub: undefined})],
    ['no exp', (issuer) => issuer.token({exp: undefined})],
    ['an exp that is no number', (issuer) => issuer.token({exp: '9999999999' as unknown as number})],
    ['not valid yet', (issuer) => issuer.token({nbf: now() + 300})],
    ['algorithm none', (issuer) => `${part({alg: 'none'})}.${part(claims(issuer))}.`],
    [
      'algorithm none with a signature',
      async (issuer) => {
        const [, body, signature] = (await issuer.token()).split('.');
        return `${part({alg: 'none', kid: 'key-1'})}.${body}.${signature}`;
      },
    ],
    [
      'HS256 with the public key as its secret',
      async (issuer) => {
        const secret = new TextEncoder().encode(await exportSPKI(issuer.publicKey));
        return await new SignJWT(claims(issuer))
          .setProtectedHeader({alg: 'HS256', kid: 'key-1'})
          .sign(secret);
      },
    ],
    [
      'another key with the same name',
      async (issuer) => {
        const token = await issuer.token();
        await issuer.rotate();
        return `${token.slice(0, token.lastIndexOf('.'))}.${(await issuer.token()).split('.')[2]}`;
      },
    ],
    [
      'changed claims',
      async (issuer) => {
        const [head, , signature] = (await issuer.token({sub: 'bob'})).split('.');
        return `${head}.${part(claims(issuer))}.${signature}`;
      },
    ],
    ['a token about a logout', (issuer) => issuer.token({}, {typ: 'logout+jwt'})],
    [
      'a key that the token brings with it',
      async (issuer) => {
        const [, body, signature] = (await issuer.token()).split('.');
        return `${part({alg: 'ES256', jwk: {kty: 'EC'}, jku: 'https://evil.example/'})}.${body}.${signature}x`;
      },
    ],
    ['a cut token', async (issuer) => (await issuer.token()).slice(0, -10)],
    ['no JSON', () => 'eyJhbGciOiJub25lIn0.eyJ.AAAA'],
    ['a very long one', (issuer) => issuer.token({x: 'x'.repeat(20_000)})],
  ])('%s', async ([, make], {scope}) => {
    const {issuer, oidc} = await setUp(scope);
    expect(codeOf(await oidc.check(await make(issuer)))).toBe('TOKEN_WRONG');
  });
});

test('a token for access, and one for several clients', async ({scope}) => {
  const {issuer, oidc} = await setUp(scope, {oidcClient: 'tunl'});
  const check = async (more: JWTPayload, typ?: string) =>
    codeOf(await oidc.check(await issuer.token(more, typ === undefined ? {} : {typ})));
  expect(await check({aud: 'tunl'})).toBe('ok');
  expect(await check({aud: 'tunl'}, 'JWT')).toBe('ok');
  expect(await check({aud: AUDIENCE}, 'at+jwt')).toBe('ok');
  expect(await check({aud: 'tunl'}, 'at+jwt')).toBe('TOKEN_WRONG');
  expect(await check({aud: ['tunl', 'other']})).toBe('TOKEN_WRONG');
  expect(await check({aud: ['tunl', 'other'], azp: 'tunl'})).toBe('ok');
  expect(await check({aud: ['tunl', 'other'], azp: 'other'})).toBe('TOKEN_WRONG');
  expect(await check({aud: [AUDIENCE, 'other'], azp: 'other'})).toBe('ok');
});

test('clocks may differ by half a minute; then the token has expired, and its session ends', async ({
  scope,
}) => {
  const {issuer, oidc, pass, changes} = await setUp(scope);
  const token = await issuer.token({exp: now() + 60});
  const verdict = await oidc.check(token);
  if (!verdict.ok) throw new Error('refused');
  pass(80 * SECOND);
  expect(codeOf(await oidc.check(token))).toBe('ok');
  expect(verdict.principal?.ended).toBeUndefined();
  expect(changes()).toBe(0);
  for (let second = 0; second < 12; second += 1) pass(SECOND);
  expect(changes()).toBe(1);
  expect(verdict.principal?.ended).toBe('TOKEN_EXPIRED');
  expect(await oidc.check(token)).toMatchObject({
    ok: false,
    code: 'TOKEN_EXPIRED',
    of: {owner: expect.any(String)},
  });
});

test('new keys of the issuer are found, and old ones forgotten', async ({scope}) => {
  const {issuer, oidc, pass} = await setUp(scope);
  const before = await issuer.token();
  expect(codeOf(await oidc.check(before))).toBe('ok');
  await issuer.rotate();
  pass(MINUTE);
  expect(codeOf(await oidc.check(await issuer.token()))).toBe('ok');
  expect(codeOf(await oidc.check(before))).toBe('TOKEN_WRONG');
});

test('keys that are replaced again right after they were fetched are found at once', async ({scope}) => {
  const {issuer, oidc} = await setUp(scope);
  for (let times = 0; times < 3; times += 1) {
    await issuer.rotate();
    expect(codeOf(await oidc.check(await issuer.token()))).toBe('ok');
  }
});

test('strangers cause a few fetches of the keys at once, and then one each half minute', async ({scope}) => {
  const {issuer, oidc, pass} = await setUp(scope);
  await oidc.check(await issuer.token());
  const first = issuer.requests;
  // Each fetch is two requests; one of four has made the first keys.
  for (let at = 0; at < 20; at += 1) await oidc.check(await issuer.token({}, {kid: `other-${at}`}));
  expect(issuer.requests - first).toBe(6);
  const before = issuer.requests;
  pass(MINUTE / 2);
  const guesses = await Promise.all(
    Array.from({length: 200}, async (_, at) => await issuer.token({}, {kid: `unknown-${at}`})),
  );
  for (const guess of guesses) expect(codeOf(await oidc.check(guess))).toBe('TOKEN_WRONG');
  await Promise.all(guesses.map((guess) => oidc.check(guess)));
  expect(issuer.requests - before).toBe(2);
});

describe('an issuer that is away', () => {
  const away = () => ({status: 503, body: ''});

  test('the last keys count for a day', async ({scope}) => {
    const {issuer, oidc, pass, events} = await setUp(scope);
    await oidc.check(await issuer.token());
    issuer.answer = away;
    pass(20 * MINUTE);
    expect(codeOf(await oidc.check(await issuer.token({exp: now() + 90_000})))).toBe('ok');
    pass(23 * 60 * MINUTE);
    expect(codeOf(await oidc.check(await issuer.token({exp: now() + 90_000})))).toBe('ok');
    pass(2 * 60 * MINUTE);
    expect(await oidc.check(await issuer.token({exp: now() + 180_000}))).toMatchObject({
      ok: false,
      status: 503,
      code: 'RELAY_BUSY',
    });
    expect(events.map(({type}) => type)).toEqual(['issuer-away']);
    issuer.answer = undefined;
    pass(MINUTE);
    expect(codeOf(await oidc.check(await issuer.token({exp: now() + 180_000})))).toBe('ok');
    expect(events.map(({type}) => type)).toEqual(['issuer-away', 'issuer-back']);
  });

  test.for<[name: string, answer: NonNullable<Issuer['answer']>]>([
    ['an error', away],
    ['no JSON', () => ({status: 200, body: '<html>'})],
    ['null', () => ({status: 200, body: 'null'})],
    [
      'another issuer',
      () => ({status: 200, body: '{"issuer":"https://evil.example","jwks_uri":"https://evil.example"}'}),
    ],
    [
      'keys without TLS',
      (path) => (path.includes('well-known') ? undefined : {status: 200, body: '{"keys":{}}'}),
    ],
    ['no keys', (path) => (path.includes('well-known') ? undefined : {status: 200, body: '{"keys":[]}'})],
    ['an endless answer', () => ({status: 200, body: 'x'.repeat(1_000_000)})],
    ['a redirect', () => ({status: 302, body: ''})],
  ])('that answers with %s: agents come back later', async ([, answer], {scope}) => {
    const {issuer, oidc, pass} = await setUp(scope);
    await issuer.rotate();
    issuer.answer = answer;
    pass(25 * 60 * MINUTE);
    expect(codeOf(await oidc.check(await issuer.token({exp: now() + 180_000})))).toBe('RELAY_BUSY');
    issuer.answer = undefined;
    pass(MINUTE);
    expect(codeOf(await oidc.check(await issuer.token({exp: now() + 180_000})))).toBe('ok');
  });
});

test('a reload narrows the rights of live principals, and ends those without a rule', async ({scope}) => {
  const {issuer, oidc, settings, changes} = await setUp(scope);
  const verdict = await oidc.check(await issuer.token());
  if (!verdict.ok || verdict.principal === undefined) throw new Error('refused');
  const {principal} = verdict;
  await oidc.reload({...settings, oidcRules: ['sub=ana name:other']});
  expect(principal.rights.scopes).toEqual(['name:other']);
  expect(principal.ended).toBeUndefined();
  await oidc.reload({...settings, oidcRules: ['sub=bob name:other']});
  expect(principal.rights.scopes).toEqual([]);
  expect(principal.ended).toBe('TOKEN_REVOKED');
  await oidc.reload(settings);
  expect(principal.ended).toBeUndefined();
  await oidc.reload({...settings, oidcIssuers: []});
  expect(principal.ended).toBe('TOKEN_REVOKED');
  expect(changes()).toBe(4);
});
