import {describe, expect, test} from 'vitest';
import {allowsIn, readInRule} from '../../../src/lib/network/allow-in.js';
import {peersOf, placeOf} from '../../../src/lib/network/roster.js';
import {readServedPort} from '../../../src/lib/network/serve.js';
import {readMemberPort} from '../../../src/lib/network/target.js';

const worker = {name: 'worker', address: 'fdaa:1:2:3:4:5:6:7'};

describe('rules about connections', () => {
  test.each([
    [[], 1, true],
    [['worker'], 1, true],
    [['Worker'], 1, true],
    [['other'], 1, false],
    [['8000'], 8000, true],
    [['8000'], 8001, false],
    [['worker:8000'], 8000, true],
    [['worker:8000'], 8001, false],
    [['other:8000', 'worker'], 9, true],
    [['fdaa:1:2:3:4:5:6:7'], 9, true],
    [['[fdaa:1:2:3:4:5:6:7]:9'], 9, true],
    [['[fdaa:1:2:3:4:5:6:8]:9'], 9, false],
    [['FDAA:0001:2:3:4:5:0006:7'], 9, true],
    [['[fdaa:0001:2:3:4:5:6:7]:9'], 9, true],
    [['[fdaa:1:2:3:4:5:0.6.0.7]'], 9, true],
  ])('%j about port %d: %s', (rules, port, allowed) => {
    expect(allowsIn(rules.map(readInRule), worker, port)).toBe(allowed);
  });

  test.each(['', ':', '0', '65536', 'a:0', '[x]:1', '[a]', 'a:b', '10.0.0.1', 'fdaa::1%lo'])(
    '%j is none',
    (rule) => {
      expect(() => readInRule(rule)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
    },
  );
});

test.each([
  ['8000', {port: 8000, to: {host: 'localhost', port: 8000}}],
  ['8000:3000', {port: 8000, to: {host: 'localhost', port: 3000}}],
  ['5432:db.corp:5433', {port: 5432, to: {host: 'db.corp', port: 5433}}],
  ['80:[::1]:8080', {port: 80, to: {host: '::1', port: 8080}}],
])('serves %s', (text, served) => expect(readServedPort(text)).toEqual(served));

test.each(['', 'x', '0', '70000', '1:2:3:4', '80:'])('%j is no port to serve', (text) => {
  expect(() => readServedPort(text)).toThrow(
    expect.objectContaining({code: expect.stringMatching(/^(TARGET_INVALID|PORT_RANGE)$/)}),
  );
});

test.each([
  ['trainer:8000', {name: 'trainer', port: 8000}],
  ['Trainer:1', {name: 'trainer', port: 1}],
  ['[fdaa::1]:80', {name: 'fdaa::1', port: 80}],
])('%s is a port of a member', (text, to) => expect(readMemberPort(text)).toEqual(to));

test.each(['trainer', ':80', 'a.b:80', 'trainer:', 'trainer:99999'])('%j is none', (text) => {
  expect(() => readMemberPort(text)).toThrow();
});

test('places of members that are no addresses are left out', () => {
  expect(placeOf('10.0.0.1:80')).toEqual({host: '10.0.0.1', port: 80});
  expect(placeOf('[fe80::1]:80')).toEqual({host: 'fe80::1', port: 80});
  for (const odd of ['localhost:80', '10.0.0.1', '10.0.0.1:0', '::1:80', '[10.0.0.1]:80', 7, null])
    expect(placeOf(odd)).toBeUndefined();
  const member = {name: 'a', address: 'x', key: 'AA', serial: 1, accepts: true};
  const state = {paths: {unix: '../../x', at: ['evil', '10.0.0.1:1'], plain: 'yes'}, app: []};
  const {peers} = peersOf([{...member, state}], () => 'x');
  expect(peers[0]).toMatchObject({hints: {at: ['10.0.0.1:1']}, state: {}});
  expect(Object.keys(peers[0]?.hints ?? {})).toEqual(['at']);
});
