// The answer of a member whose programs are in a sealed network.
import type {Socket} from 'node:net';
import {describe, expect, test} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import {acceptInto} from '../../../src/lib/network/member-seal.js';
import {RunNotices} from '../../../src/lib/network/run-notices.js';
import type {InsideDial} from '../../../src/lib/seal/inside-dials.js';
import type {Seal} from '../../../src/lib/seal/seal.js';

const WORKER = {name: 'worker', address: 'fdaa:1:2::5'};
const {signal} = new AbortController();

/** A seal that refuses the first dials. */
function seal(refusals: number, code = 'ECONNREFUSED'): {seal: Seal; dialled: InsideDial[]} {
  const dialled: InsideDial[] = [];
  const dialInside = async (dial: InsideDial) => {
    dialled.push(dial);
    if (dialled.length <= refusals) throw Object.assign(new Error(code), {code});
    return {} as Socket;
  };
  return {seal: {dialInside} as unknown as Seal, dialled};
}

describe('a connection of another member', () => {
  test('waits for the seal, and comes from the address of that member', async () => {
    const opening = Promise.withResolvers<Seal>();
    const answer = acceptInto(opening.promise)(WORKER, 8000, signal);
    const {seal: open, dialled} = seal(0);
    opening.resolve(open);
    await answer;
    expect(dialled).toMatchObject([{port: 8000, from: 'fdaa:1:2::5'}]);
  });

  test('fails with the seal', async () => {
    const error = new TunlError('SEAL_UNAVAILABLE');
    await expect(acceptInto(Promise.reject(error))(WORKER, 8000, signal)).rejects.toBe(error);
  });

  test('is refused at once by a closed port, unless there is a time of grace', async () => {
    const closed = seal(2);
    await expect(acceptInto(Promise.resolve(closed.seal))(WORKER, 1, signal)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    expect(closed.dialled).toHaveLength(1);
    const late = seal(2);
    await acceptInto(Promise.resolve(late.seal), {graceMs: 60_000})(WORKER, 1, signal);
    expect(late.dialled).toHaveLength(3);
    const broken = seal(2, 'ETIMEDOUT');
    const answer = acceptInto(Promise.resolve(broken.seal), {graceMs: 60_000})(WORKER, 1, signal);
    await expect(answer).rejects.toMatchObject({code: 'ETIMEDOUT'});
    const gone = new AbortController();
    const given = acceptInto(Promise.resolve(seal(1_000).seal), {graceMs: 60_000})(WORKER, 1, gone.signal);
    gone.abort();
    await expect(given).rejects.toMatchObject({name: 'AbortError'});
  });

  test('is not dialled when the rules forbid it', async () => {
    const {seal: open, dialled} = seal(0);
    const accept = acceptInto(Promise.resolve(open), {allows: (_, port) => port === 8000});
    await expect(accept(WORKER, 22, signal)).rejects.toMatchObject({code: 'NOT_ALLOWED'});
    expect(dialled).toEqual([]);
    await accept(WORKER, 8000, signal);
  });
});

test('UDP that is refused without a device is told once, and not at all where members have it', () => {
  const told: string[] = [];
  const notices = new RunNotices(({code, message}) => told.push(`${code} ${message}`));
  notices.setUdp('carried');
  notices.missedUdp(443);
  expect(told).toEqual([]);
  notices.setUdp({why: 'This user may not open it.', mend: 'chmod'});
  notices.missedUdp(443);
  notices.missedUdp(7000);
  expect(told).toEqual([
    'MEMBER_UDP UDP does not leave here: what the command sent to port 443 was refused. Between members it needs a TUN device. This user may not open it. To mend it: chmod',
  ]);
});

test('notices come once in a while, and never more than a few at a time', () => {
  const told: string[] = [];
  const notices = new RunNotices(({message}) => told.push(message));
  const refused = Object.assign(new Error('reset'), {code: 'ECONNRESET'});
  for (let time = 0; time < 1_000; time += 1) notices.failed('trainer', 8000, refused, time);
  expect(told).toHaveLength(1);
  notices.failed('trainer', 8000, refused, 31_000);
  expect(told).toHaveLength(2);
  for (let port = 1; port < 1_000; port += 1) notices.refused('10.0.0.1', port, 'not-public', 45_000);
  expect(told).toHaveLength(22);
  expect(told.at(-1)).toContain('neither a member');
  notices.refused('forbidden.example', undefined, 'not-allowed', 100_000);
  expect(told).toHaveLength(22);
});
