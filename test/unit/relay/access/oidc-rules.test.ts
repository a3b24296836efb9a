// From claims to scopes and an owner: deny by default, and nothing in a claim can widen a scope.

import {describe, expect, test} from 'vitest';
import type {Claims} from '../../../../src/lib/core/claims.js';
import {mapIdentity, parseRule} from '../../../../src/lib/relay/access/oidc-rules.js';
import {checkOidc} from '../../../../src/lib/relay/access/oidc-settings.js';

const FIRST = 'https://id.example.com';
const CI = 'https://ci.example.com';
const map = (rules: readonly string[], claims: Claims, {issuer = FIRST, owner = 'sub'} = {}) =>
  mapIdentity(rules.map(parseRule), {issuer, isFirst: issuer === FIRST, claims}, owner);
const scopesOf = (...about: Parameters<typeof map>) => map(...about)?.scopes;

const ana = {
  sub: 'a1',
  email: 'Ana@example.com',
  email_verified: true,
  groups: ['dev', 'ops'],
  admin: true,
  n: 7,
};

test('destinations of egress: those of all rules with an egress, or all', () => {
  const allowOf = (...rules: string[]) => map(rules, ana)?.allow;
  expect(allowOf('sub=* egress:db allow:db.corp:5432,*.corp:443')).toEqual(['db.corp:5432', '*.corp:443']);
  expect(allowOf('sub=* egress:db allow:a.corp:1', 'n=7 egress:x allow:b.corp:2')).toEqual([
    'a.corp:1',
    'b.corp:2',
  ]);
  // A rule about names opens no destinations, and one with an egress alone opens all.
  expect(allowOf('sub=* egress:db allow:a.corp:1', 'n=7 name:*')).toEqual(['a.corp:1']);
  expect(allowOf('sub=* egress:db allow:a.corp:1', 'n=7 egress:x')).toBeUndefined();
  expect(allowOf('sub=* egress:db allow:a.corp:1', 'n=8 egress:x')).toEqual(['a.corp:1']);
  expect(allowOf('sub=* name:*')).toBeUndefined();
  for (const wrong of [
    'sub=* name:* allow:a.corp:1',
    'sub=* egress:db allow:',
    'sub=* egress:db allow:{host}:1',
  ])
    expect(() => parseRule(wrong)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});

test.each<[rules: string[], claims: Claims, scopes: string[] | undefined]>([
  [[], ana, undefined],
  [['sub=* name:*'], ana, ['name:*']],
  [['sub=a1 name:*'], {sub: 'A1'}, undefined],
  [['groups=dev name:dev-*', 'groups=ops tcp:20000-20100'], ana, ['name:dev-*', 'tcp:20000-20100']],
  [['groups=dev groups=ops name:x'], ana, ['name:x']],
  [['groups=dev groups=qa name:x'], ana, undefined],
  [['groups=de name:x'], ana, undefined],
  [['groups=d* name:x'], ana, ['name:x']],
  [['admin=true n=7 name:x'], ana, ['name:x']],
  [['email=*@example.com name:*'], {...ana, email: 'ana@example.com'}, ['name:*']],
  [['email=*@example.com name:*'], {...ana, email: 'ana@example.com.evil.example'}, undefined],
  [['email=*@example.com name:*'], {sub: 'a', email: 'ana@example.com'}, undefined],
  [['email=*@example.com name:*'], {sub: 'a', email: 'ana@example.com', email_verified: false}, undefined],
  [['email=Ana@Example.com name:*'], {...ana, email: 'aNA@example.COM'}, ['name:*']],
  [['email=*@Example.com name:*'], ana, ['name:*']],
  [['missing=* name:*'], ana, undefined],
  [['__proto__=* name:*'], ana, undefined],
  [['constructor=* name:*'], ana, undefined],
  [['sub=* name:{user}-*'], {...ana, user: 'Ana'}, ['name:ana-*']],
  [['sub=* name:{user}-*'], {...ana, user: '*'}, []],
  [['sub=* name:{user}-*'], {...ana, user: 'a.b'}, []],
  [['sub=* name:{user}-*'], {...ana, user: ['a', 'b']}, []],
  [['sub=* name:{user}-*'], {...ana, user: ''}, []],
  [['sub=* name:{user}-* tcp:1-2'], ana, ['tcp:1-2']],
  [['sub=* name:*', 'sub=* net:{team}'], {...ana, team: '-ops'}, ['name:*']],
  [['sub=* egress:{team}'], {...ana, team: '-ops'}, []],
  [['sub={user} name:x'], {...ana, user: 'a1'}, undefined],
])('%j for %j: %j', (rules, claims, scopes) => {
  expect(scopesOf(rules, claims)).toEqual(scopes);
});

test('a rule is for the first issuer, unless it names others', () => {
  const claims = {sub: 'a1'};
  expect(scopesOf(['sub=* name:*'], claims, {issuer: CI})).toBeUndefined();
  expect(scopesOf([`iss=${CI} sub=* name:*`], claims, {issuer: CI})).toEqual(['name:*']);
  expect(scopesOf([`iss=${CI} sub=* name:*`], claims)).toBeUndefined();
  // A claim cannot name another issuer.
  expect(scopesOf([`iss=${CI} sub=* name:*`], {...claims, iss: CI})).toBeUndefined();
});

describe('owners', () => {
  const ownerOf = (claims: Claims, more: Parameters<typeof map>[2] = {}, rule = 'sub=* name:*') =>
    map([rule, `iss=${CI} sub=* name:*`], claims, more)?.owner;

  test('a verified address of the first issuer is the owner', () => {
    expect(ownerOf(ana, {owner: 'email'})).toBe('ana@example.com');
    expect(ownerOf({...ana, email_verified: false}, {owner: 'email'})).toBeUndefined();
    expect(ownerOf(ana, {owner: 'email', issuer: CI})).toMatch(/^ana@example\.com\.[0-9a-f]{20}$/);
  });

  test('every other value has its own owner', () => {
    const values = [
      'a',
      'A',
      'a-',
      'a/b',
      'a:b',
      'a-b',
      'ä',
      '😀',
      'x'.repeat(300),
      `${'x'.repeat(300)}y`,
      '.',
      'ana@example.com',
    ];
    const all = values.flatMap((sub) => [ownerOf({sub}), ownerOf({sub}, {issuer: CI})]);
    expect(new Set(all).size).toBe(2 * values.length);
    for (const owner of all) expect(owner).toMatch(/^[a-z0-9][a-z0-9._@+-]{0,63}$/);
    expect(ownerOf({sub: 'repo:acme/shop'})).toMatch(/^repo-acme-shop\./);
  });

  test('no value, no owner', () => {
    expect(ownerOf({sub: 'a', team: ''}, {owner: 'team'})).toBeUndefined();
    expect(ownerOf({sub: 'a'}, {owner: 'team'})).toBeUndefined();
    expect(ownerOf({sub: 'a', team: ['x', 'y']}, {owner: 'team'})).toBeUndefined();
    expect(ownerOf({sub: 'a', team: {x: 1}}, {owner: 'team'})).toBeUndefined();
  });

  test('a rule can name the owner', () => {
    expect(ownerOf({sub: 'a'}, {}, 'sub=* owner:ci name:*')).toBe('ci');
    expect(ownerOf({sub: 'a', repo: 'acme/shop'}, {}, 'sub=* owner:{repo} name:*')).toMatch(/^acme-shop\./);
    expect(ownerOf({sub: 'a'}, {}, 'sub=* owner:{repo} name:*')).toBeUndefined();
  });
});

test.each([
  '',
  'sub=*',
  'name:*',
  'sub=* name:',
  'sub=* nam:x',
  'sub=* tcp:0-70000',
  '=x name:*',
  'sub=* owner:a owner:b name:*',
  'sub=* owner:a:b name:*',
  'sub=* owner: name:*',
  'iss=https://id.example.com name:*',
])('%j is no rule', (rule) => {
  expect(() => parseRule(rule)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});

test.each([
  [{oidcAudiences: ['a']}, false],
  [{oidcClient: 'a'}, false],
  [{oidcRules: ['sub=* name:*']}, false],
  [{}, true],
  [{oidcIssuers: [FIRST], oidcRules: ['sub=* name:*']}, false],
  [{oidcIssuers: [FIRST], oidcAudiences: ['a']}, false],
  [{oidcIssuers: [FIRST], oidcAudiences: ['a'], oidcRules: [`iss=${CI} sub=* name:*`]}, false],
  [{oidcIssuers: [FIRST], oidcAudiences: ['a'], oidcRules: ['sub=* name:*']}, true],
  [{oidcIssuers: [FIRST, CI], oidcClient: 'a', oidcRules: [`iss=${CI} sub=* name:*`]}, true],
])('the settings %j together: %j', (settings, isFine) => {
  const check = () => checkOidc({oidcIssuers: [], oidcAudiences: [], oidcRules: [], ...settings});
  if (isFine) expect(check).not.toThrow();
  else expect(check).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});
