import {describe, expect, test} from 'vitest';
import {BulkPace} from '../../../src/lib/mux/bulk-pace.js';

const KIB = 1024;
const RTT_MS = 20;

/** Acknowledges `bytesPerMs` for `ms`, from `now` on. */
function acknowledge(pace: BulkPace, now: number, ms: number, bytesPerMs: number): void {
  for (let at = 1; at <= ms; at += 1) pace.acknowledged(bytesPerMs, now + at, RTT_MS);
}

describe('bulk', () => {
  test('alone has no limit, also beside frames of its own stream', () => {
    const pace = new BulkPace();
    expect(pace.limit(0, RTT_MS)).toBe(Number.POSITIVE_INFINITY);
    pace.small(15, {now: () => 0});
    expect(pace.limit(0, RTT_MS)).toBe(Number.POSITIVE_INFINITY);
  });

  test('beside small frames is limited to what the link holds, until there are no more of them', () => {
    const pace = new BulkPace();
    acknowledge(pace, 0, 100, 100 * KIB);
    pace.small(16, {now: () => 100});
    expect(pace.limit(100, RTT_MS)).toBe(1.25 * 100 * KIB * RTT_MS);
    expect(pace.limit(399, RTT_MS)).toBe(1.25 * 100 * KIB * RTT_MS);
    expect(pace.limit(400, RTT_MS)).toBe(Number.POSITIVE_INFINITY);
  });

  test('keeps a minimum on links that are short, slow, or were stopped, and a smaller one when a queue would take long', () => {
    const pace = new BulkPace();
    const limits = (now: number) => [1, 4, 5, RTT_MS].map((rttMs) => pace.limit(now, rttMs) / KIB);
    pace.small(16, {now: () => 0});
    expect(limits(0)).toEqual([512, 512, 128, 128]);
    acknowledge(pace, 0, 100, 10);
    pace.small(16, {now: () => 100});
    expect(limits(100)).toEqual([512, 512, 128, 128]);
  });

  test('has no limit when no round trip is known', () => {
    const pace = new BulkPace();
    pace.small(16, {now: () => 0});
    expect(pace.limit(0, Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });

  test('finds the rate of a link that can carry more', () => {
    const pace = new BulkPace();
    const linkBytesPerMs = 1_000 * KIB;
    let now = 0;
    for (let trips = 0; trips < 40; trips += 1) {
      pace.small(16, {now: () => now});
      const sent = Math.min(pace.limit(now, RTT_MS), linkBytesPerMs * RTT_MS);
      acknowledge(pace, now, RTT_MS, sent / RTT_MS);
      now += RTT_MS;
    }
    pace.small(16, {now: () => now});
    expect(pace.limit(now, RTT_MS)).toBeGreaterThan(linkBytesPerMs * RTT_MS);
  });
});
