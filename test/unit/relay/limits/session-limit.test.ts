// How many agents an owner may have, and how often they may connect.

import {expect, test} from 'vitest';
import {SessionLimit} from '../../../../src/lib/relay/limits/session-limit.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const ana = {owner: 'ana', tokenId: 'id'};

function make(sessionsPerSecondPerOwner?: number, maxSessionsPerOwner?: number) {
  const clock = new ManualClock();
  const noted: string[] = [];
  const limit = new SessionLimit({
    settings: {sessionsPerSecondPerOwner, maxSessionsPerOwner},
    reports: {note: (...what) => void noted.push(what.join(' '))},
    clock,
  });
  return {limit, clock, noted};
}

test('fifty seconds’ worth may come at once, then so many a second; other owners do not notice', () => {
  const {limit, clock, noted} = make(2);
  for (let i = 0; i < 100; i += 1) expect(limit.enter(ana)).toBeUndefined();
  expect(limit.enter(ana)).toBe(500);
  expect(noted).toEqual(['sessions owner ana']);
  expect(limit.enter({owner: 'bob', tokenId: 'id'})).toBeUndefined();
  clock.advance(500);
  expect(limit.enter(ana)).toBeUndefined();
  expect(limit.enter(ana)).toBe(500);
  limit.reload({sessionsPerSecondPerOwner: 10, maxSessionsPerOwner: undefined});
  expect(limit.enter(ana)).toBeUndefined();
});

test('the standard limit lets 5,000 agents of an owner come back at once, and is not for the single token', () => {
  const {limit} = make();
  for (let i = 0; i < 5_000; i += 1) expect(limit.enter(ana)).toBeUndefined();
  expect(limit.enter(ana)).toBe(10);
  for (let i = 0; i < 6_000; i += 1)
    expect(limit.enter({owner: 'token:x', tokenId: undefined})).toBeUndefined();
});

test('an owner may have 20,000 agents at once; the single token has no limit until one is set', () => {
  const {limit, noted} = make();
  const single = {owner: 'token:x', tokenId: undefined};
  expect(limit.refusalOf(ana, 19_999)).toBeUndefined();
  expect(noted).toEqual([]);
  expect(limit.refusalOf(ana, 20_000)).toEqual(['RELAY_BUSY', 'The owner may have 20000 agents at once.']);
  expect(noted).toEqual(['sessions owner ana']);
  expect(limit.refusalOf(single, 20_000)).toBeUndefined();
  limit.reload({sessionsPerSecondPerOwner: undefined, maxSessionsPerOwner: 30_000});
  expect(limit.refusalOf(ana, 20_000)).toBeUndefined();
  expect(limit.refusalOf(single, 30_000)?.[0]).toBe('RELAY_BUSY');
});
