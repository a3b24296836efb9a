// Which limits of bandwidth a connection has, and how long they are kept.

import {expect, test} from 'vitest';
import type {OwnerLimits} from '../../../../src/lib/relay/access/principal.js';
import {Bandwidths} from '../../../../src/lib/relay/limits/bandwidth.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const off = {
  bytesPerSecond: undefined,
  bytesPerSecondPerOwner: undefined,
  bytesPerSecondPerTunnel: undefined,
};
const MB = 1_000_000;

/** The time until the next byte after this many. */
const waitAfter = (rate: {spend(bytes: number): void; waitMs: number} | undefined, bytes: number) => {
  rate?.spend(bytes);
  return Math.round(rate?.waitMs ?? Number.NaN);
};

test('without a limit there is nothing, and each limit is found', () => {
  const clock = new ManualClock();
  const tunnel = {key: 'tls:a', principal: {owner: 'ana', limits: {} as OwnerLimits}};
  expect(new Bandwidths({clock, settings: off}).of(tunnel)).toBeUndefined();
  const all = {bytesPerSecond: MB, bytesPerSecondPerOwner: MB, bytesPerSecondPerTunnel: MB};
  expect(new Bandwidths({clock, settings: all}).of(tunnel)?.rates).toHaveLength(3);
  const own = {key: 'tls:a', principal: {owner: 'ana', limits: {bytesPerSecond: MB}}};
  expect(new Bandwidths({clock, settings: off}).of(own)?.rates).toHaveLength(1);
});

test('tunnels of one owner share its rate, those of another have their own', () => {
  const bandwidths = new Bandwidths({
    clock: new ManualClock(),
    settings: {...off, bytesPerSecondPerOwner: MB},
  });
  const of = (key: string, owner: string) => bandwidths.of({key, principal: {owner, limits: {}}})?.rates[0];
  expect(of('tls:a', 'ana')).toBe(of('tls:b', 'ana'));
  expect(of('tls:a', 'ana')).not.toBe(of('tls:c', 'constructor'));
});

test('a connection between two owners has the limits of both, and that of the relay once in all processes', () => {
  const settings = {...off, bytesPerSecond: MB, bytesPerSecondPerOwner: MB};
  const bandwidths = new Bandwidths({clock: new ManualClock(), settings});
  const [ana, ben] = ['ana', 'ben'].map((owner) => ({owner, limits: {}}));
  if (ana === undefined || ben === undefined) throw new Error('no owners');
  const between = bandwidths.of({principal: ana, peer: ben})?.rates;
  const [ofAna, ofRelay] = bandwidths.of({principal: ana})?.rates ?? [];
  const ofBen = bandwidths.of({principal: ben, isCountedElsewhere: true})?.rates;
  expect(between).toEqual([ofAna, ofBen?.[0], ofRelay]);
  expect(ofBen).toHaveLength(1);
  expect(bandwidths.of({principal: ana, peer: ana})?.rates).toEqual([ofAna, ofRelay]);
  const own = {owner: 'ben', limits: {bytesPerSecond: MB}};
  expect(
    new Bandwidths({clock: new ManualClock(), settings: off}).of({principal: ana, peer: own})?.rates,
  ).toHaveLength(1);
});

test('a limit of the token, a reload and the share of a worker apply to connections that are open', () => {
  const clock = new ManualClock();
  let limits: OwnerLimits = {bytesPerSecond: MB};
  const principal = {
    owner: 'ana',
    get limits() {
      return limits;
    },
  };
  const bandwidths = new Bandwidths({
    clock,
    settings: {...off, bytesPerSecondPerOwner: 4 * MB},
    share: 1 / 2,
  });
  const rate = bandwidths.of({key: 'tls:a', principal})?.rates[0];
  // Half a megabyte a second here; the burst is the time of 50 ms.
  expect(waitAfter(rate, 525_000)).toBe(1_000);
  limits = {};
  expect(waitAfter(rate, 0)).toBe(250);
  bandwidths.reload({...off, bytesPerSecondPerOwner: MB});
  expect(waitAfter(rate, 0)).toBe(1_000);
  bandwidths.reload(off);
  expect(rate?.open).toBe(true);
});

test('a rate is kept until it has made up for what passed too early, so that short connections cannot evade it', () => {
  const clock = new ManualClock();
  const bandwidths = new Bandwidths({clock, settings: {...off, bytesPerSecondPerTunnel: MB}});
  const tunnel = {key: 'tls:a', principal: {owner: 'ana', limits: {}}};
  const first = bandwidths.of(tunnel);
  expect(waitAfter(first?.rates[0], 2.05 * MB)).toBe(2_000);
  first?.release();
  clock.advance(1_000);
  const second = bandwidths.of(tunnel);
  expect(second?.rates[0]).toBe(first?.rates[0]);
  expect(second?.rates[0]?.open).toBe(false);
  second?.release();
  clock.advance(10_000);
  expect(clock.pending).toBe(0);
  expect(bandwidths.of(tunnel)?.rates[0]).not.toBe(first?.rates[0]);
});
