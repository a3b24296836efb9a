// Logins: a proved identity gets a token of the registry, which goes on when it is proved again and ends by a logout.

import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, vi} from 'vitest';
import {Logins} from '../../../../src/lib/relay/access/logins.js';
import type {Proven} from '../../../../src/lib/relay/access/oidc.js';
import type {Mapped} from '../../../../src/lib/relay/access/oidc-rules.js';
import {type Principal, unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {TokenCommands} from '../../../../src/lib/relay/access/token-commands.js';
import {MOST_TOKENS, type TokenRecord} from '../../../../src/lib/relay/access/token-record.js';
import {TokenRegistry} from '../../../../src/lib/relay/access/token-registry.js';
import {newTokenId} from '../../../../src/lib/relay/access/token-text.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {eventually} from '../../../helpers/eventually.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const HOUR = 3_600_000;

async function setUp(scope: Scope) {
  const stateDir = await scope.tempDir('state');
  const clock = new ManualClock();
  const events: RelayEvent[] = [];
  const emit = (event: RelayEvent) => void events.push(event);
  let now = Date.now();
  const wallNow = () => now;
  const registry = new TokenRegistry({stateDir, clock, events: {emit}, wallNow});
  await registry.start();
  scope.onEnd(() => registry.close());
  const people = new Map<Principal, Mapped>();
  const logins = new Logins({
    oidc: {
      sessionMs: 12 * HOUR,
      identityOf: (principal) =>
        people.has(principal)
          ? ({issuer: 'https://id.example', isFirst: true, claims: {}, expiresAt: 0} as Proven)
          : undefined,
      map: () => [...people.values()].at(-1),
    },
    registry,
    clock,
    events: {emit},
    wallNow,
  });
  const prove = (
    owner: string,
    scopes: readonly string[] = ['name:*'],
    allow?: readonly string[],
  ): Principal => {
    const principal = unlimitedPrincipal(owner);
    people.set(principal, {owner, scopes, allow});
    return principal;
  };
  const logIn = async (principal: Principal, renewed?: string) => {
    const answer = await logins.exchange(principal, {renewed, from: '192.0.2.1'});
    if ('ok' in answer) throw new Error(answer.code);
    return answer;
  };
  const check = (token = '') => {
    const verdict = registry.check(token);
    if (verdict instanceof Promise) throw new Error('the registry answers at once');
    return verdict.ok ? verdict.principal : undefined;
  };
  const pass = (ms: number) => {
    now += ms;
    clock.advance(ms);
  };
  return {stateDir, registry, logins, prove, logIn, check, pass, events};
}

test('the token has the owner, the scopes and the end of the login', async ({scope}) => {
  const {prove, logIn, check, registry, pass, events} = await setUp(scope);
  const {token, tokenId, ...rest} = await logIn(prove('ana', ['name:demo']));
  expect(token).toMatch(/^tunl_login_/);
  expect(rest).toMatchObject({owner: 'ana', scopes: ['name:demo']});
  const principal = check(token);
  expect(principal).toMatchObject({owner: 'ana', tokenId});
  expect(principal?.rights.allows('name', 'other')).toBe(false);
  pass(12 * HOUR);
  expect(principal?.ended).toBe('TOKEN_EXPIRED');
  expect(registry.check(token ?? '')).toMatchObject({code: 'TOKEN_EXPIRED'});
  expect(events).toContainEqual(expect.objectContaining({type: 'logged-in', owner: 'ana', renewed: false}));
  expect(JSON.stringify(events)).not.toContain(token);
});

test('a renewal moves the end of the same token, and takes the scopes of now', async ({scope}) => {
  const {prove, logIn, check, pass} = await setUp(scope);
  const {token, tokenId} = await logIn(prove('ana'));
  const principal = check(token);
  pass(10 * HOUR);
  const again = await logIn(prove('ana', ['tcp:20000']), token);
  expect(again).toMatchObject({tokenId, scopes: ['tcp:20000']});
  expect(again.token).toBeUndefined();
  pass(10 * HOUR);
  expect(principal?.ended).toBeUndefined();
  expect(principal?.rights.scopes).toEqual(['tcp:20000']);
});

test('a login has the destinations of its rules, and a renewal those of now', async ({scope}) => {
  const {prove, logIn, check} = await setUp(scope);
  const {token} = await logIn(prove('ana', ['egress:db'], ['db.corp:5432']));
  const reaches = () => {
    const {allow} = check(token)?.rights.destinations ?? {};
    return [allow?.('db.corp', 5432), allow?.('api.corp', 443)];
  };
  expect(reaches()).toEqual([true, false]);
  await logIn(prove('ana', ['egress:db'], ['api.corp:443']), token);
  expect(reaches()).toEqual([false, true]);
  await logIn(prove('ana', ['egress:db']), token);
  expect(reaches()).toEqual([true, true]);
});

test('only a login of the same owner that was not revoked goes on', async ({scope}) => {
  const {prove, logIn, stateDir, logins, check, registry} = await setUp(scope);
  const ana = await logIn(prove('ana'));
  const made = await new TokenCommands(stateDir).create({name: 'bob', scopes: ['name:bob']});
  const bob = prove('bob');
  for (const renewed of [ana.token, made.token, `${ana.token?.slice(0, -1)}x`, 'nonsense', ''])
    expect((await logIn(bob, renewed)).token).toMatch(/^tunl_login_/);
  const principal = check(ana.token);
  if (principal === undefined) throw new Error('refused');
  await logins.end(principal, '192.0.2.1');
  expect(principal.ended).toBe('TOKEN_REVOKED');
  expect((await logIn(prove('ana'), ana.token)).token).toMatch(/^tunl_login_/);
  expect(registry.check(ana.token ?? '')).toMatchObject({code: 'TOKEN_REVOKED'});
});

test('a token of an operator is no login: it is neither exchanged nor ended', async ({scope}) => {
  const {stateDir, logins, registry, check, prove} = await setUp(scope);
  const {token} = await new TokenCommands(stateDir).create({
    name: 'laptop',
    owner: 'ana',
    scopes: ['name:*'],
  });
  await registry.look();
  const principal = check(token);
  if (principal === undefined) throw new Error('refused');
  expect(await logins.exchange(principal, {renewed: undefined, from: ''})).toMatchObject({
    status: 403,
    code: 'NOT_ALLOWED',
  });
  const before = await registry.file.stamp();
  expect(await logins.end(principal, '')).toBeUndefined();
  expect(await logins.end(prove('ana'), '')).toBeUndefined();
  expect(check(token)).toBeDefined();
  expect(await registry.file.stamp()).toBe(before);
});

test('logouts of one login at the same time share one change of the file', async ({scope}) => {
  const {prove, logIn, logins, registry, check, events} = await setUp(scope);
  const principal = check((await logIn(prove('ana'))).token) as Principal;
  const change = vi.spyOn(registry.file, 'change');
  const ended = await Promise.all(Array.from({length: 60}, () => logins.end(principal, '')));
  expect(ended).toEqual(Array.from({length: 60}));
  expect(await logins.end(principal, '')).toBeUndefined();
  expect(change).toHaveBeenCalledTimes(1);
  expect(events.filter(({type}) => type === 'logged-out')).toHaveLength(1);
});

test('a logout that fails can be tried again, but not without end; other owners are not affected', async ({
  scope,
}) => {
  const {stateDir, prove, logIn, logins, check, pass} = await setUp(scope);
  const ana = check((await logIn(prove('ana'))).token) as Principal;
  const bob = check((await logIn(prove('bob'))).token) as Principal;
  const path = join(stateDir, 'access', 'tokens.json');
  const text = await readFile(path);
  await writeFile(path, 'no tokens');
  for (let tries = 0; tries < 50; tries += 1)
    expect(await logins.end(ana, '')).toMatchObject({code: 'RELAY_BUSY', status: 503});
  expect(await logins.end(ana, '')).toMatchObject({code: 'RELAY_BUSY', status: 429, retryAfterMs: 5_000});
  await writeFile(path, text);
  expect(await logins.end(bob, '')).toBeUndefined();
  expect([ana.ended, bob.ended]).toEqual([undefined, 'TOKEN_REVOKED']);
  pass(5_000);
  expect(await logins.end(ana, '')).toBeUndefined();
  expect(ana.ended).toBe('TOKEN_REVOKED');
});

test('an owner cannot fill the file: logins are slowed down, and the oldest is revoked', async ({scope}) => {
  const {prove, logIn, logins, check, pass} = await setUp(scope);
  const first = await logIn(prove('ana'));
  for (let more = 0; more < 9; more += 1) await logIn(prove('ana'));
  expect(await logins.exchange(prove('ana'), {renewed: undefined, from: ''})).toMatchObject({
    status: 429,
    code: 'RELAY_BUSY',
    retryAfterMs: 5_000,
  });
  // Others are not affected.
  await logIn(prove('bob'));
  for (let more = 0; more < 41; more += 1) {
    pass(6_000);
    await logIn(prove('ana'));
  }
  expect(check(first.token)).toBeUndefined();
  // Ended logins leave the file.
  pass(40 * HOUR);
  await logIn(prove('ana'));
});

test('an owner has few ended logins in the file; one that left it stays refused', async ({scope}) => {
  const {stateDir, registry, prove, logIn, check, pass} = await setUp(scope);
  const bob = await logIn(prove('bob'));
  const first = await logIn(prove('ana'));
  const principal = check(first.token);
  const used = join(stateDir, 'access', 'used');
  await eventually(async () => expect(await readdir(used)).toEqual([first.tokenId]));
  // 50 that last, and 50 that have ended after the first one.
  for (let more = 0; more < 101; more += 1) {
    pass(6_000);
    await logIn(prove('ana'));
  }
  const records = (await registry.file.read()) ?? [];
  expect(records.filter(({owner}) => owner === 'ana').length).toBeLessThanOrEqual(101);
  expect(records.filter(({owner, id}) => owner === 'bob' || id === first.tokenId)).toMatchObject([
    {id: bob.tokenId},
  ]);
  expect(principal?.ended).toBe('TOKEN_REVOKED');
  const verdict = registry.check(first.token ?? '');
  pass(20);
  expect(await verdict).toMatchObject({ok: false, code: 'TOKEN_WRONG'});
  expect(await readdir(used)).toEqual([]);
});

test('a full file has room for a login while it holds one that has ended, of whatever owner', async ({
  scope,
}) => {
  const {registry, logins, prove, logIn, check, pass} = await setUp(scope);
  const ended = await logIn(prove('ana'));
  const later = await logIn(prove('ana'));
  const kept = await logIn(prove('bob'));
  await logins.end(check(ended.token) as Principal, '');
  pass(1_000);
  await logins.end(check(later.token) as Principal, '');
  await registry.file.change((records) => {
    const [like] = records.filter(({id}) => id === kept.tokenId);
    const others = Array.from({length: MOST_TOKENS - records.length}, (_, at) => ({
      ...(like as TokenRecord),
      id: newTokenId(),
      owner: `owner-${at}`,
    }));
    return [[...records, ...others], undefined];
  });
  await logIn(prove('cleo'));
  const left = new Set<string | undefined>((await registry.file.read())?.map(({id}) => id));
  expect([ended, later, kept].map(({tokenId}) => left.has(tokenId))).toEqual([false, true, true]);
  await logIn(prove('cleo'));
  expect(await logins.exchange(prove('dora'), {renewed: undefined, from: ''})).toMatchObject({status: 503});
});
