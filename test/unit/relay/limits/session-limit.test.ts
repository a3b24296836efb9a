// How often the agents of an owner may connect.

import {expect, test} from 'vitest';
import {SessionLimit} from '../../../../src/lib/relay/limits/session-limit.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const ana = {owner: 'ana', tokenId: 'id'};

function make(sessionsPerSecondPerOwner: number | undefined) {
  const clock = new ManualClock();
  const noted: string[] = [];
  const limit = new SessionLimit({
    settings: {sessionsPerSecondPerOwner},
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
  limit.reload({sessionsPerSecondPerOwner: 10});
  expect(limit.enter(ana)).toBeUndefined();
});

test('the standard limit lets 5,000 agents of an owner come back at once, and is not for the single token', () => {
  const {limit} = make(undefined);
  for (let i = 0; i < 5_000; i += 1) expect(limit.enter(ana)).toBeUndefined();
  expect(limit.enter(ana)).toBe(10);
  for (let i = 0; i < 6_000; i += 1)
    expect(limit.enter({owner: 'token:x', tokenId: undefined})).toBeUndefined();
});
