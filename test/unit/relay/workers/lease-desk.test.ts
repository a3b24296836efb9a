// Which worker has which name: takeovers, and the death of a worker.

import {expect, test} from 'vitest';
import type {LeaseKey, LeaseStore} from '../../../../src/lib/relay/leases/lease-store.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {LeaseDesk} from '../../../../src/lib/relay/workers/lease-desk.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

class Holder {
  isUp = true;
  readonly lost: string[] = [];
  answer: () => void = () => {};
  #isSlow: boolean;

  constructor({isSlow = false} = {}) {
    this.#isSlow = isSlow;
  }

  lose(key: LeaseKey, epoch: number): Promise<unknown> {
    this.lost.push(`${key} ${epoch}`);
    return this.#isSlow
      ? new Promise<void>((resolve) => {
          this.answer = resolve;
        })
      : Promise.resolve();
  }

  hasInUse(): Promise<boolean> {
    if (this.#isSlow) return new Promise(() => {});
    return this.isUp ? Promise.resolve(true) : Promise.reject(new Error('gone'));
  }
}

function setUp(leases: LeaseStore = new MemoryLeases({graceMs: 1_000})) {
  const letGo: LeaseKey[] = [];
  const clock = new ManualClock();
  const desk = new LeaseDesk<Holder>({
    leases,
    clock,
    letGo: (key) => letGo.push(key),
    isExpected: (key) => key === 'tcp:1',
  });
  return {desk, letGo, leases, clock};
}

test('a name that another worker claims for the same owner is lost to the first one', async () => {
  const {desk} = setUp();
  const [one, two] = [new Holder(), new Holder()];
  expect(await desk.claim(one, 'tls:demo', 'ann')).toEqual({ok: true, epoch: 1});
  expect(await desk.claim(two, 'tls:demo', 'bob')).toEqual({ok: false, reason: 'taken'});
  expect(await desk.claim(two, 'tls:demo', 'ann')).toEqual({ok: true, epoch: 2, takeover: true});
  expect(one.lost).toEqual(['tls:demo 1']);
  expect(desk.holderOf('tls:demo')).toBe(two);
  await desk.release('tls:demo', 1);
  expect(desk.holderOf('tls:demo')).toBe(two);
});

test('a worker that claims its own name again does not lose it', async () => {
  const {desk} = setUp();
  const one = new Holder();
  await desk.claim(one, 'tls:demo', 'ann');
  expect(await desk.claim(one, 'tls:demo', 'ann')).toEqual({ok: true, epoch: 2});
  expect(one.lost).toEqual([]);
});

test('a port is granted when its last worker listens no more, or does not answer in time', async () => {
  const {desk, letGo, clock} = setUp();
  const [one, two] = [new Holder({isSlow: true}), new Holder({isSlow: true})];
  await desk.claim(one, 'tcp:20000', 'ann');
  let granted = false;
  const claim = desk.claim(two, 'tcp:20000', 'ann').then(() => {
    granted = true;
  });
  await expect.poll(() => one.lost.length).toBe(1);
  expect(granted).toBe(false);
  one.answer();
  await claim;
  const late = desk.claim(one, 'tcp:20000', 'ann');
  await expect.poll(() => two.lost.length).toBe(1);
  clock.advance(2_000);
  expect(await late).toMatchObject({ok: true});
  expect(letGo).toEqual(['tcp:20000', 'tcp:20000', 'tcp:20000']);
});

test('the later claim wins when the store answers in another order', async () => {
  const answers = [2, 1];
  const store: LeaseStore = {
    expected: [],
    claim: () => Promise.resolve({ok: true, epoch: answers.shift() ?? 0}),
    release: () => Promise.resolve(),
    ownerOf: () => Promise.resolve(undefined),
    freePorts: () => Promise.resolve([]),
  };
  const {desk} = setUp(store);
  const [late, early] = [new Holder(), new Holder()];
  await desk.claim(late, 'tls:demo', 'ann');
  await desk.claim(early, 'tls:demo', 'ann');
  expect(desk.holderOf('tls:demo')).toBe(late);
  expect([late.lost, early.lost]).toEqual([[], ['tls:demo 1']]);
});

test('the names of a worker that has died stay with their owner, also one that was claimed meanwhile', async () => {
  const {desk, leases} = setUp();
  const [one, two] = [new Holder(), new Holder()];
  await desk.claim(one, 'tls:demo', 'ann');
  await desk.claim(two, 'tls:other', 'ann');
  one.isUp = false;
  expect(desk.left(one)).toEqual(['tls:demo']);
  await desk.claim(one, 'tls:late', 'ann');
  expect(desk.holderOf('tls:late')).toBeUndefined();
  expect(await leases.claim('tls:demo', 'bob')).toEqual({ok: false, reason: 'taken'});
  expect(await desk.claim(two, 'tls:demo', 'ann')).toEqual({ok: true, epoch: 2});
});

test('a worker asks about keys of others: which are elsewhere, and which are in use', async () => {
  const {desk} = setUp();
  const [one, two] = [new Holder(), new Holder()];
  await desk.claim(one, 'tls:demo', 'ann');
  expect([desk.isElsewhere('tls:demo', one), desk.isElsewhere('tls:demo', two)]).toEqual([false, true]);
  expect([desk.isElsewhere('tcp:1', one), desk.isElsewhere('tcp:2', one)]).toEqual([true, false]);
  expect(await desk.isInUseElsewhere('tls:demo', two)).toBe(true);
  expect(await desk.isInUseElsewhere('tls:demo', one)).toBe(false);
  one.isUp = false;
  expect(await desk.isInUseElsewhere('tls:demo', two)).toBe(false);
});

test('a name of a worker that does not answer is not in use', async () => {
  const {desk, clock} = setUp();
  const [one, two] = [new Holder({isSlow: true}), new Holder()];
  await desk.claim(one, 'tls:demo', 'ann');
  const answer = desk.isInUseElsewhere('tls:demo', two);
  clock.advance(2_000);
  expect(await answer).toBe(false);
});
