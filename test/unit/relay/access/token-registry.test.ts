// The registry of tokens: what is a token, what its file must be, and what happens to the tokens when it is not.

import {chmod, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {describe, expect, test} from 'vitest';
import type {Verdict} from '../../../../src/lib/relay/access/access.js';
import {TokenCommands} from '../../../../src/lib/relay/access/token-commands.js';
import {TokenFile} from '../../../../src/lib/relay/access/token-file.js';
import {TokenRegistry} from '../../../../src/lib/relay/access/token-registry.js';
import {hasChecksum, newToken, newTokenId, tokenIdOf} from '../../../../src/lib/relay/access/token-text.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {settleRelayOptions} from '../../../../src/lib/relay/settings.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {atMost} from '../../../helpers/metric.js';
import {Scope} from '../../../helpers/scope.js';

const DAY_MS = 86_400_000;

async function setUp(scope: Scope) {
  const stateDir = await scope.tempDir('relay');
  const tokens = new TokenCommands(stateDir);
  const path = join(stateDir, 'access', 'tokens.json');
  const events: RelayEvent[] = [];
  /** Added to the time of day. */
  const later = {ms: 0};
  const clock = new ManualClock();
  const open = async (mustStart = true) => {
    const registry = new TokenRegistry({
      ...{stateDir, mustStart},
      clock,
      wallNow: () => Date.now() + later.ms,
      events: {emit: (event) => void events.push(event)},
    });
    scope.onEnd(() => registry.close());
    await registry.start();
    return registry;
  };
  /** Waits for the look that a wrong token leads to. */
  const check = async (registry: TokenRegistry, token: string) => {
    const verdict = registry.check(token);
    clock.advance(20);
    return await verdict;
  };
  return {stateDir, tokens, path, events, later, open, check, clock};
}

const codeOf = (verdict: Verdict | Promise<Verdict>) =>
  verdict instanceof Promise ? 'late' : verdict.ok ? 'ok' : verdict.code;

test('a token has 256 random bits, an id, and a checksum that a scanner can check', () => {
  const tokens = new Set<string>();
  for (let i = 0; i < 200; i += 1) {
    const id = newTokenId();
    const token = newToken('agent', id);
    expect(token).toMatch(/^tunl_agent_[a-z2-7]{10}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
    expect([tokenIdOf(token), hasChecksum(token)]).toEqual([id, true]);
    tokens.add(token);
  }
  expect(tokens.size).toBe(200);
  expect(hasChecksum('tunl_agent_aaaaaaaaaa_'.padEnd(65, '0'))).toBe(false);
});

test('the file has no token, and nobody else can read it', async () => {
  await using scope = new Scope();
  const {tokens, path, stateDir} = await setUp(scope);
  const {token, record} = await tokens.create({
    name: 'laptop',
    owner: 'Ana',
    scopes: ['name:*'],
    expiresInMs: DAY_MS,
  });
  const text = await readFile(path, 'utf8');
  expect(text).not.toContain(token.split('_')[3]);
  expect(JSON.parse(text)).toMatchObject({
    version: 1,
    tokens: [{id: record.id, owner: 'ana', scopes: ['name:*']}],
  });
  expect([(await stat(path)).mode & 0o777, (await stat(join(stateDir, 'access'))).mode & 0o777]).toEqual([
    0o600, 0o700,
  ]);
});

test('of many commands at once none is lost', async () => {
  await using scope = new Scope();
  const {tokens, stateDir} = await setUp(scope);
  const made = await Promise.all(
    Array.from({length: 20}, (_, i) => new TokenCommands(stateDir).create({name: `t${i}`, scopes: []})),
  );
  const {id = ''} = made[7]?.record ?? {};
  await Promise.all([tokens.revoke(id), tokens.set('t8', {scopes: ['tcp:*']}), tokens.rotate('t9')]);
  const listed = await tokens.list();
  expect(listed.map(({record}) => record.name).sort()).toEqual(made.map(({record}) => record.name).sort());
  expect(listed.find(({record}) => record.id === id)?.state).toBe('revoked');
  expect(listed.find(({record}) => record.name === 't8')?.record.scopes).toEqual(['tcp:*']);
  expect(await readdir(join(stateDir, 'access'))).toEqual(['tokens.json']);
});

test('a name is used once, until its token is revoked', async () => {
  await using scope = new Scope();
  const {tokens} = await setUp(scope);
  await tokens.create({name: 'laptop', scopes: []});
  await expect(tokens.create({name: 'laptop', scopes: []})).rejects.toMatchObject({code: 'OPTION_INVALID'});
  await tokens.revoke('laptop');
  await expect(tokens.revoke('laptop')).rejects.toMatchObject({code: 'TOKEN_UNKNOWN'});
  await tokens.create({name: 'laptop', scopes: []});
  expect((await tokens.list()).map(({state}) => state)).toEqual(['revoked', 'active']);
});

test('a token that has expired is not replaced, and its name is free when it is revoked', async () => {
  await using scope = new Scope();
  const {tokens, open, check} = await setUp(scope);
  const {token, record} = await tokens.create({name: 'ci', scopes: ['name:*'], expiresInMs: 0});
  const expired = {
    code: 'OPTION_INVALID',
    next: expect.stringContaining(`tunl relay token set ${record.id} --expires TIME`),
  };
  await expect(tokens.create({name: 'ci', scopes: []})).rejects.toMatchObject({
    ...expired,
    message: expect.stringMatching(/already.*has expired/),
  });
  for (const which of ['ci', record.id])
    await expect(tokens.rotate(which)).rejects.toMatchObject({
      ...expired,
      message: `Token ${record.id} has expired.`,
    });
  await tokens.set(record.id, {expiresInMs: DAY_MS});
  const next = await tokens.rotate('ci');
  const registry = await open();
  expect(await check(registry, next.token)).toMatchObject({ok: true});
  expect(codeOf(await check(registry, token))).toBe('TOKEN_REVOKED');
  await tokens.set('ci', {expiresInMs: 0});
  await tokens.revoke('ci');
  await tokens.create({name: 'ci', scopes: []});
});

test.each([
  ['name', {name: 'a\nb', scopes: []}],
  ['owner', {name: 'a', owner: 'key:1', scopes: []}],
  ['owner', {name: 'a', owner: '', scopes: []}],
  ['scope', {name: 'a', scopes: ['name']}],
])('a wrong %s makes no token', async (_what, wish) => {
  await using scope = new Scope();
  const {tokens, path} = await setUp(scope);
  await expect(tokens.create(wish)).rejects.toMatchObject({code: 'OPTION_INVALID'});
  await expect(stat(path)).rejects.toMatchObject({code: 'ENOENT'});
});

describe('a token is refused', () => {
  test('with one text when it is unknown, wrong, of another relay, truncated, or has another checksum', async () => {
    await using scope = new Scope();
    const {tokens, open, check} = await setUp(scope);
    const {token, record} = await tokens.create({name: 'laptop', scopes: ['name:*']});
    const other = await (await setUp(scope)).tokens.create({name: 'laptop', scopes: ['name:*']});
    const registry = await open();
    expect(registry.check(token)).toMatchObject({ok: true, principal: {owner: 'laptop', tokenId: record.id}});
    const wrong = {ok: false, code: 'TOKEN_WRONG', message: 'The relay does not know this token.'};
    const end = token.slice(0, -1);
    for (const text of [
      newToken('agent', record.id),
      newToken('agent', newTokenId()),
      other.token,
      token.slice(0, -1),
      token.slice(0, 30),
      `${end}${token.endsWith('0') ? '1' : '0'}`,
      `${token}0`,
      token.toUpperCase(),
      token.replace('_agent_', '_admin_'),
      'tunl_',
      '',
    ])
      expect(await check(registry, text)).toEqual(wrong);
  });

  test('with its reason when it is right, and was revoked, replaced or has expired', async () => {
    await using scope = new Scope();
    const {tokens, open, later} = await setUp(scope);
    const registry = await open();
    expect(registry.isNeeded).toBe(false);
    const made = await tokens.create({name: 'a', scopes: ['name:*'], expiresInMs: DAY_MS});
    await registry.look();
    expect([registry.isNeeded, codeOf(registry.check(made.token))]).toEqual([true, 'ok']);
    const next = await tokens.rotate('a', 60_000);
    await registry.look();
    expect([made.token, next.token].map((token) => codeOf(registry.check(token)))).toEqual(['ok', 'ok']);
    later.ms = 60_001;
    expect([made.token, next.token].map((token) => codeOf(registry.check(token)))).toEqual([
      'TOKEN_REVOKED',
      'ok',
    ]);
    later.ms = DAY_MS + 1;
    expect(registry.check(next.token)).toMatchObject({
      code: 'TOKEN_EXPIRED',
      of: {owner: 'a', tokenId: next.record.id},
    });
    await tokens.revoke(next.record.id);
    await registry.look();
    expect(codeOf(registry.check(next.token))).toBe('TOKEN_REVOKED');
  });
});

test('a principal follows its record', async () => {
  await using scope = new Scope();
  const {tokens, open, later} = await setUp(scope);
  const limits = {maxTunnels: 3, maxConnections: 0};
  const {token} = await tokens.create({name: 'a', owner: 'ana', scopes: ['name:*'], limits});
  const registry = await open();
  let changes = 0;
  registry.onChanged(() => {
    changes += 1;
  });
  const verdict = registry.check(token);
  if (verdict instanceof Promise || !verdict.ok || verdict.principal === undefined)
    throw new Error('refused');
  const {principal} = verdict;
  expect([principal.rights.allows('name', 'demo'), principal.limits, principal.ended]).toEqual([
    true,
    {maxTunnels: 3},
    undefined,
  ]);
  await tokens.set('a', {
    scopes: ['tcp:22'],
    limits: {maxTunnels: 0, bytesPerSecond: 9},
    expiresInMs: DAY_MS,
  });
  await registry.look();
  expect([principal.rights.scopes, principal.limits, changes]).toEqual([['tcp:22'], {bytesPerSecond: 9}, 1]);
  later.ms = DAY_MS + 5_000;
  await registry.look();
  expect([principal.ended, changes]).toEqual(['TOKEN_EXPIRED', 2]);
  await registry.look();
  expect(changes).toBe(2);
  later.ms = 0;
  await tokens.rotate('a');
  await registry.look();
  expect([principal.ended, changes]).toEqual(['TOKEN_REVOKED', 3]);
});

test('rights that have not changed stay the same object, whoever logs in', async () => {
  await using scope = new Scope();
  const {tokens, open} = await setUp(scope);
  const {token} = await tokens.create({name: 'a', scopes: ['name:*', 'egress:*'], allow: ['a.test:1']});
  const registry = await open();
  const verdict = await registry.check(token);
  if (!verdict.ok || verdict.principal === undefined) throw new Error('refused');
  const {principal} = verdict;
  const same = async (change: Promise<unknown>) => {
    const before = principal.rights;
    await change;
    await registry.look();
    return principal.rights === before;
  };
  expect(await same(tokens.create({name: 'b', scopes: ['name:b']}))).toBe(true);
  expect(await same(tokens.set('a', {limits: {maxTunnels: 3}}))).toBe(true);
  expect(await same(tokens.set('a', {allow: ['b.test:1']}))).toBe(false);
  expect(principal.rights.destinations.rules).toEqual(['b.test:1']);
  expect(await same(tokens.set('a', {scopes: ['name:a']}))).toBe(false);
  expect(principal.rights.scopes).toEqual(['name:a']);
});

describe.each([
  ['empty', ''],
  ['cut off', '{"version":1,"tokens":[{"id":"aaaaaaaaaa"'],
  ['of a newer version', '{"version":2,"tokens":[]}'],
  ['something else', '{"leases":[]}'],
  ['a list with a token that nobody can read', '{"version":1,"tokens":[{"id":"aaaaaaaaaa"}]}'],
])('a file that is %s', (_what, text) => {
  test('is an error for commands and for a relay that starts, and stays as it is', async () => {
    await using scope = new Scope();
    const {tokens, path, stateDir, open} = await setUp(scope);
    await tokens.create({name: 'a', scopes: []});
    await writeFile(path, text);
    const error = expect.objectContaining({
      code: 'TOKENS_UNREADABLE',
      message: expect.stringContaining(path),
    });
    for (const action of [
      () => tokens.create({name: 'b', scopes: []}),
      () => tokens.revoke('a'),
      () => tokens.list(),
      () => open(),
      () => settleRelayOptions({token: '', stateDir}),
    ])
      await expect(action()).rejects.toThrow(error);
    expect(await readFile(path, 'utf8')).toBe(text);
    expect(await readdir(join(stateDir, 'access'))).toEqual(['tokens.json']);
    await expect(settleRelayOptions({token: '', stateDir, tokenRegistry: false})).resolves.toBeDefined();
  });

  test('changes nothing at a relay that runs, which says so once', async () => {
    await using scope = new Scope();
    const {tokens, path, open, events} = await setUp(scope);
    const {token} = await tokens.create({name: 'a', scopes: []});
    const registry = await open();
    await writeFile(path, text);
    await registry.look();
    await registry.look();
    expect(codeOf(registry.check(token))).toBe('ok');
    expect(events).toEqual([expect.objectContaining({type: 'tokens-unreadable', path})]);
    await rm(path);
    await registry.look();
    expect([codeOf(registry.check(token)), registry.isNeeded]).toEqual(['ok', true]);
    expect(events).toHaveLength(2);
  });

  test('lets a new worker start, which refuses for a while', async () => {
    await using scope = new Scope();
    const {tokens, path, open} = await setUp(scope);
    const {token} = await tokens.create({name: 'a', scopes: []});
    const good = await readFile(path, 'utf8');
    await writeFile(path, text);
    const registry = await open(false);
    expect([registry.isNeeded, registry.check(token)]).toEqual([
      true,
      expect.objectContaining({code: 'RELAY_BUSY', status: 503}),
    ]);
    await writeFile(path, `${good}\n`);
    await registry.look();
    expect(codeOf(registry.check(token))).toBe('ok');
  });
});

test('a file that others could have written is not believed', async () => {
  await using scope = new Scope();
  const {tokens, path} = await setUp(scope);
  await tokens.create({name: 'a', scopes: []});
  await chmod(path, 0o666);
  await expect(tokens.list()).rejects.toMatchObject({code: 'STATE_DIR'});
  await expect(tokens.create({name: 'b', scopes: []})).rejects.toMatchObject({code: 'STATE_DIR'});
});

describe.each([
  ['file', 0o600, (path: string) => path],
  ['folder', 0o700, (path: string) => dirname(path)],
])('a %s that others may write for a while', (_what, mode, placeIn) => {
  test('is reported once, and its tokens are read when the mode is right', async () => {
    await using scope = new Scope();
    const {tokens, path, open, events} = await setUp(scope);
    const {token} = await tokens.create({name: 'a', scopes: []});
    const registry = await open();
    await tokens.revoke('a');
    await chmod(placeIn(path), mode | 0o022);
    await registry.look();
    await registry.look();
    expect(events).toEqual([expect.objectContaining({type: 'tokens-unreadable', path})]);
    expect(codeOf(registry.check(token))).toBe('ok');
    await chmod(placeIn(path), mode);
    await registry.look();
    expect(codeOf(registry.check(token))).toBe('TOKEN_REVOKED');
  });

  test('does not keep a new worker from its tokens for ever', async () => {
    await using scope = new Scope();
    const {tokens, path, open} = await setUp(scope);
    const {token} = await tokens.create({name: 'a', scopes: []});
    await chmod(placeIn(path), mode | 0o022);
    const registry = await open(false);
    await registry.look();
    expect(codeOf(registry.check(token))).toBe('RELAY_BUSY');
    await chmod(placeIn(path), mode);
    await registry.look();
    expect(codeOf(registry.check(token))).toBe('ok');
  });
});

test('a folder that cannot be written is an error, and nothing has changed', async () => {
  await using scope = new Scope();
  const {tokens, path, stateDir} = await setUp(scope);
  await tokens.create({name: 'a', scopes: []});
  const before = await readFile(path, 'utf8');
  // Root may write everywhere, but not into a file in place of the lock's folder.
  await rm(join(stateDir, 'access'), {recursive: true});
  await writeFile(join(stateDir, 'access'), before);
  await expect(tokens.create({name: 'b', scopes: []})).rejects.toMatchObject({code: 'STATE_DIR'});
  expect(await readFile(join(stateDir, 'access'), 'utf8')).toBe(before);
});

test('the time of the last login is kept beside the file', async () => {
  await using scope = new Scope();
  const {tokens, stateDir, open} = await setUp(scope);
  const {token, record} = await tokens.create({name: 'a', scopes: []});
  expect((await tokens.list())[0]?.usedAt).toBeUndefined();
  const registry = await open();
  registry.check(token);
  for (;;) if (await stat(join(stateDir, 'access', 'used', record.id)).catch(() => undefined)) break;
  expect((await tokens.list())[0]?.usedAt).toBeInstanceOf(Date);
});

test('a relay with a file of tokens may listen for everybody', async () => {
  await using scope = new Scope();
  const {tokens, stateDir} = await setUp(scope);
  const settle = () => settleRelayOptions({token: '', stateDir, listen: '0.0.0.0:0'});
  await expect(settle()).rejects.toMatchObject({code: 'TOKEN_NEEDED'});
  await tokens.create({name: 'a', scopes: []});
  await expect(settle()).resolves.toMatchObject({hasTokens: true, token: undefined});
  await tokens.revoke('a');
  await expect(settle()).resolves.toMatchObject({hasTokens: true});
  expect(await new TokenFile(stateDir).read()).toHaveLength(1);
});

test('a token that was made or replaced a moment ago is accepted at its first login', async () => {
  await using scope = new Scope();
  const {tokens, open, check} = await setUp(scope);
  const registry = await open();
  await tokens.create({name: 'first', scopes: []});
  await registry.look();
  const {token} = await tokens.create({name: 'a', scopes: []});
  expect(await check(registry, token)).toMatchObject({ok: true});
  const next = await tokens.rotate('a');
  expect(await check(registry, next.token)).toMatchObject({ok: true});
});

test('many wrong tokens at once lead to few looks at the file', async () => {
  await using scope = new Scope();
  const {tokens, open, clock} = await setUp(scope);
  await tokens.create({name: 'a', scopes: []});
  const registry = await open();
  const wrong = Array.from({length: 10_000}, () => newToken('agent', newTokenId()));
  const before = process.cpuUsage();
  const verdicts = wrong.map((token) => registry.check(token));
  // One for all of them, and the one of every second.
  expect(clock.pending).toBe(2);
  clock.advance(20);
  expect(new Set((await Promise.all(verdicts)).map(codeOf))).toEqual(new Set(['TOKEN_WRONG']));
  const {user, system} = process.cpuUsage(before);
  expect(atMost('figure 24', 'CPU for 10,000 wrong tokens, ms', (user + system) / 1_000, 1_000)).toBe(true);
});
