// Scopes: what they allow, and which texts are none.

import {describe, expect, test} from 'vitest';
import {
  ALL_RIGHTS,
  ANY_PORT,
  parseScope,
  RANDOM_NAME,
  rightsOf,
  SCOPES,
  type ScopeKind,
} from '../../../../src/lib/relay/access/rights.js';

const CASES: readonly [scope: string, kind: ScopeKind, allowed: string[], denied: string[]][] = [
  ['name:demo', 'name', ['demo'], ['demo2', 'a-demo', '', RANDOM_NAME]],
  ['name:*', 'name', ['demo', 'x', RANDOM_NAME, 'constructor'], []],
  ['name:@random', 'name', [RANDOM_NAME], ['demo', '@', 'random']],
  ['name:ana-*', 'name', ['ana-', 'ana-1', 'ana-x-y'], ['ana', 'bana-1', RANDOM_NAME]],
  ['name:*-dev-*', 'name', ['a-dev-b', '-dev-', 'x-dev-dev-y'], ['dev', 'a-dev', 'dev-b']],
  ['name:a*a', 'name', ['aa', 'aba'], ['a', 'ab']],
  ['tcp:22', 'tcp', ['22', '22-22'], ['23', '2', '220', '22-23', ANY_PORT]],
  ['tcp:20000-20100', 'tcp', ['20000', '20100', '20005-20010'], ['19999', '20101', '20100-20101', '0', 'x']],
  ['tcp:*', 'tcp', ['1', '65535', ANY_PORT], []],
  ['domain:*.example.com', 'domain', ['a.example.com', 'a.b.example.com'], ['example.com', 'example.org']],
  ['egress:office', 'egress', ['office'], ['office2']],
  ['net:lab-*', 'net', ['lab-1'], ['lab']],
  ['cluster:c1', 'cluster', ['c1'], ['c2']],
  ['hub:create', 'hub', ['create'], ['delete']],
  ['admin:status', 'admin', ['status'], ['kick']],
];

test('every kind of scope has a case', () => {
  expect(new Set(CASES.map(([, kind]) => kind))).toEqual(new Set(Object.keys(SCOPES)));
});

describe.each(CASES)('%s', (scope, kind, allowed, denied) => {
  const rights = rightsOf([parseScope(scope)]);
  test.each(allowed)(`allows ${kind} %j`, (what) => expect(rights.allows(kind, what)).toBe(true));
  test.each(denied)(`denies ${kind} %j`, (what) => expect(rights.allows(kind, what)).toBe(false));
  test('allows nothing of any other kind', () => {
    for (const other of Object.keys(SCOPES) as ScopeKind[])
      for (const what of [...allowed, '*', 'demo', '22', ''])
        if (other !== kind) expect(rights.allows(other, what)).toBe(false);
  });
});

test('an empty list allows nothing; the rights of the single token allow everything', () => {
  for (const kind of Object.keys(SCOPES) as ScopeKind[]) {
    expect(rightsOf([]).allows(kind, 'demo')).toBe(false);
    expect(ALL_RIGHTS.allows(kind, 'demo')).toBe(true);
  }
  expect([rightsOf([]).ports, ALL_RIGHTS.ports]).toEqual([[], undefined]);
});

test('scopes that a version does not know, or cannot read, allow nothing', () => {
  const rights = rightsOf(['name', ':', 'moon:*', 'tcp:9-1', 'tcp:x', '__proto__:*', 'constructor:*']);
  for (const kind of Object.keys(SCOPES) as ScopeKind[]) expect(rights.allows(kind, '9')).toBe(false);
  expect(rights.ports).toEqual([]);
});

test('a scope is written in any case', () => {
  expect(parseScope(' Name:Demo-* ')).toBe('name:demo-*');
});

test.each([
  '',
  'name',
  'name:',
  'demo',
  'moon:*',
  'constructor:*',
  '__proto__:x',
  'name:a b',
  'name:a.b',
  'name:@any',
  'name:ä',
  'tcp:0',
  'tcp:65536',
  'tcp:2-1',
  'tcp:a',
  'tcp:1-',
  'tcp:20000-20100,22',
  `name:${'a'.repeat(300)}`,
  'admin:a b',
])('%j is no scope', (text) => {
  expect(() => parseScope(text)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});

test('a pattern with many stars takes no longer than its length', () => {
  const rights = rightsOf([`name:${'*a'.repeat(120)}*b`]);
  expect(rights.allows('name', 'a'.repeat(60_000))).toBe(false);
});
