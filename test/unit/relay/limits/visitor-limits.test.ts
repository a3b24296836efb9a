// Limits of visitors: each of them alone, those that are given and the standard ones, and those of an owner's token.

import {describe, expect, test} from 'vitest';
import {type OptionsOf, settle} from '../../../../src/lib/core/settings.js';
import type {OwnerLimits} from '../../../../src/lib/relay/access/principal.js';
import {LIMIT_SETTINGS, type LimitSettings} from '../../../../src/lib/relay/limits/limit-settings.js';
import {VisitorCounts} from '../../../../src/lib/relay/limits/visitor-counts.js';
import {type Entered, VisitorLimits} from '../../../../src/lib/relay/limits/visitor-limits.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const peer = (address: string, port = 1) => ({address, port, source: address});
const tunnel = (
  key: string,
  {owner = 'ana', tokenId = 'id' as string | undefined, limits = {} as OwnerLimits} = {},
) => ({
  key,
  principal: {owner, tokenId, limits},
});

function make(given: Partial<LimitSettings>, counts = new VisitorCounts()) {
  const clock = new ManualClock();
  const noted: string[] = [];
  const limits = new VisitorLimits({
    settings: settle(LIMIT_SETTINGS, given as OptionsOf<typeof LIMIT_SETTINGS>, {}),
    isTrusted: (address) => address.startsWith('10.'),
    reports: {note: (...what) => void noted.push(what.join(' ').trim())},
    clock,
    counts,
  });
  return {limits, clock, noted, counts};
}

const A = peer('198.51.100.1');
const B = peer('198.51.100.2');

describe('connections at once', () => {
  test.each([
    // The limit, the two visitors that have come, one that is refused, and one that comes.
    ['relay', {maxVisitors: 2}, [tunnel('tls:b', {owner: 'bob'}), peer('203.0.113.9')], undefined],
    ['owner', {maxVisitorsPerOwner: 2}, [tunnel('tls:b'), B], [tunnel('tls:a', {owner: 'bob'}), A]],
    ['tunnel', {maxVisitorsPerTunnel: 2}, [tunnel('tls:a'), B], [tunnel('tls:b'), A]],
    ['address', {maxVisitorsPerAddress: 2}, [tunnel('tls:b', {owner: 'bob'}), A], [tunnel('tls:a'), B]],
  ] as const)('of the %s', (by, given, refused, taken) => {
    const {limits, noted, counts} = make(given);
    const entered = [limits.enter(tunnel('tls:a'), A), limits.enter(tunnel('tls:a'), A)];
    expect(entered.every((each) => each !== undefined)).toBe(true);
    expect(limits.admits(...refused)).toBe(false);
    expect(limits.enter(...refused)).toBeUndefined();
    expect(noted).toHaveLength(2);
    expect(noted[0]).toMatch(new RegExp(`^visitors ${by}`));
    if (taken !== undefined) {
      const other = limits.enter(...taken);
      expect(other).toBeDefined();
      limits.leave(other as Entered);
    }
    limits.leave(entered[0] as Entered);
    const again = limits.enter(...refused) as Entered;
    limits.leave(again);
    limits.leave(entered[1] as Entered);
    expect([...counts.here(1)]).toEqual([]);
  });
});

test('a probe takes no visitor’s place, and counts for the address that it comes from', () => {
  const {limits} = make({maxVisitors: 1, maxVisitorsPerTunnel: 1, maxVisitorsPerAddress: 2});
  const probe = limits.enter(tunnel('tls:a'), A, true);
  expect(probe).toBeDefined();
  const visitor = limits.enter(tunnel('tls:a'), A);
  expect(visitor).toBeDefined();
  expect(limits.enter(tunnel('tls:a'), A, true)).toBeUndefined();
  expect(limits.enter(tunnel('tls:a'), B, true)).toBeDefined();
  expect(limits.enter(tunnel('tls:a'), B)).toBeUndefined();
});

describe('new connections a second', () => {
  test.each([
    ['relay', {visitorsPerSecond: 2}],
    ['owner', {visitorsPerSecondPerOwner: 2}],
    ['tunnel', {visitorsPerSecondPerTunnel: 2}],
    ['address', {visitorsPerSecondPerAddress: 2}],
  ] as const)('of the %s', (by, given) => {
    const {limits, clock, noted} = make(given);
    const visit = () => {
      const entered = limits.enter(tunnel('tls:a'), A);
      if (entered !== undefined) limits.leave(entered);
      return entered !== undefined;
    };
    // Ten times as many at once.
    expect(Array.from({length: 25}, visit).filter(Boolean)).toHaveLength(20);
    expect(noted).toEqual(
      Array(5).fill(
        `new-visitors ${by} ${{relay: '', owner: 'ana', tunnel: 'tls:a', address: A.address}[by]}`.trim(),
      ),
    );
    clock.advance(1_000);
    expect(Array.from({length: 5}, visit).filter(Boolean)).toHaveLength(2);
  });
});

describe('standard limits', () => {
  const count = (limits: VisitorLimits, who = A, most = 5_000, of = tunnel('tls:a')) => {
    let n = 0;
    while (n < most && limits.enter(of, who) !== undefined) n += 1;
    return n;
  };

  test('are for strangers', () => {
    const {limits, noted} = make({});
    expect(count(limits)).toBe(2_000);
    expect(noted).toEqual([`new-visitors address ${A.address}`]);
  });

  test('are not for the relay’s own machine, which may be a proxy', () => {
    expect(count(make({}).limits, peer('127.0.0.1'))).toBe(5_000);
    expect(count(make({}).limits, peer('::1'))).toBe(5_000);
  });

  test('by address are not for trusted sources', () => {
    expect(count(make({}).limits, peer('10.0.0.1'), 4_999)).toBe(4_999);
    expect(count(make({maxVisitorsPerAddress: 1}).limits, peer('10.0.0.1'), 100)).toBe(100);
  });

  test('a given limit is for everybody', () => {
    expect(count(make({maxVisitorsPerAddress: 7}).limits, peer('127.0.0.1'))).toBe(7);
  });

  test('of owners are not for the single token', () => {
    const mine = tunnel('tls:b', {owner: 'token:x'});
    const {limits} = make({visitorsPerSecondPerTunnel: 100_000, maxVisitorsPerTunnel: 100_000});
    expect(count(limits, peer('10.0.0.1'), 11_000, tunnel('tls:a'))).toBe(10_000);
    expect(
      count(limits, peer('10.0.0.1'), 11_000, {...mine, principal: {...mine.principal, tokenId: undefined}}),
    ).toBe(11_000);
  });
});

test('the limits of an owner’s token are read at each use, and are lower or higher than those of the relay', () => {
  const {limits} = make({maxVisitorsPerOwner: 3});
  const own: {maxConnections?: number} = {maxConnections: 1};
  const mine = tunnel('tls:a', {limits: own});
  const first = limits.enter(mine, A);
  expect(first).toBeDefined();
  expect(limits.enter(mine, A)).toBeUndefined();
  own.maxConnections = 5;
  for (let i = 0; i < 4; i += 1) expect(limits.enter(mine, A)).toBeDefined();
  expect(limits.enter(mine, A)).toBeUndefined();
  delete own.maxConnections;
  expect(limits.enter(mine, A)).toBeUndefined();
});

test('a reload changes the limits of visitors to come', () => {
  const {limits} = make({maxVisitorsPerTunnel: 1});
  expect(limits.enter(tunnel('tls:a'), A)).toBeDefined();
  expect(limits.enter(tunnel('tls:a'), A)).toBeUndefined();
  limits.reload(settle(LIMIT_SETTINGS, {maxVisitorsPerTunnel: 2}, {}));
  expect(limits.enter(tunnel('tls:a'), A)).toBeDefined();
});

test('connections in other processes of the relay count', () => {
  const counts = new VisitorCounts();
  const {limits} = make({maxVisitorsPerOwner: 3}, counts);
  counts.setElsewhere([['owner ana', 2]]);
  expect(limits.enter(tunnel('tls:a'), A)).toBeDefined();
  expect(limits.enter(tunnel('tls:a'), A)).toBeUndefined();
});

test('names of strangers are no properties of an object', () => {
  const {limits} = make({maxVisitorsPerTunnel: 1});
  for (const name of ['constructor', '__proto__', 'toString']) {
    expect(limits.enter(tunnel(`tls:${name}`, {owner: name}), A)).toBeDefined();
    expect(limits.enter(tunnel(`tls:${name}`, {owner: name}), A)).toBeUndefined();
  }
});
