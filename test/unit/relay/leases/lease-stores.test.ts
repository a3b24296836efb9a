// Rules of every lease store: who may have a name, when, and with which epoch. A new store is a row of the table.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {createLogger} from '../../../../src/lib/core/logger.js';
import {FileLeases} from '../../../../src/lib/relay/leases/file-leases.js';
import type {LeaseKey, LeaseLimits, LeaseStore} from '../../../../src/lib/relay/leases/lease-store.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {type KeyHolder, LeaseDesk} from '../../../../src/lib/relay/workers/lease-desk.js';
import type {QuestionsOfWorker} from '../../../../src/lib/relay/workers/messages.js';
import {RemoteLeases} from '../../../../src/lib/relay/workers/remote-leases.js';
import {Talk} from '../../../../src/lib/relay/workers/talk.js';
import {channelPair} from '../../../helpers/channel-pair.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {Scope} from '../../../helpers/scope.js';

const GRACE_MS = 1000;

type Limits = LeaseLimits & {wallClock: () => number};
/** A store that keeps its leases in `place`, or loses them with its process. */
type Make = (limits: Limits, place: string) => LeaseStore;

const clock = new ManualClock();
const log = createLogger('test', undefined);

const STORES: [name: string, make: Make, survives: boolean][] = [
  ['memory', (limits) => new MemoryLeases(limits), false],
  ['file', (limits, stateDir) => new FileLeases({...limits, stateDir, domain: 'a.test', clock, log}), true],
  ['worker of several', (limits) => remote(new MemoryLeases(limits)), false],
];

/** The store of a worker: each call goes over a channel, to the desk of the first process. */
function remote(leases: LeaseStore): LeaseStore {
  const {one, other} = channelPair();
  const desk = new LeaseDesk<KeyHolder>({leases, clock, isExpected: () => false, letGo: () => {}});
  const holder: KeyHolder = {
    isUp: true,
    lose: () => Promise.resolve(),
    hasInUse: () => Promise.resolve(false),
  };
  type Questions = Pick<QuestionsOfWorker, 'claim' | 'release' | 'ownerOf' | 'freePorts'>;
  new Talk<object, object, object, Questions>({
    channel: other,
    onMessage: () => {},
    answers: {
      claim: ({key, owner, claimant}) => desk.claim(holder, key, owner, claimant),
      release: ({key, epoch}) => desk.release(key, epoch),
      ownerOf: ({key}) => desk.ownerOf(key),
      freePorts: ({ports}) => desk.freePorts(ports),
    },
  });
  const talk = new Talk<object, object, Questions, object>({channel: one, onMessage: () => {}, answers: {}});
  return new RemoteLeases((question, about) => talk.ask(question, about));
}

/** The keys that have an owner now. */
async function taken(table: LeaseStore, keys: readonly LeaseKey[]): Promise<LeaseKey[]> {
  const owners = await Promise.all(keys.map((key) => table.ownerOf(key)));
  return keys.filter((_, i) => owners[i] !== undefined);
}

describe.each(STORES)('leases in a %s', (_name, make, survives) => {
  async function open(scope: Scope, more: Partial<LeaseLimits> = {}) {
    const time = {now: 5_000};
    const place = await scope.tempDir('leases');
    const again = async () => {
      const store = make({graceMs: GRACE_MS, wallClock: () => time.now, ...more}, place);
      await store.start?.();
      scope.onEnd(async () => await store.close?.(0));
      return store;
    };
    return {time, table: await again(), again};
  }

  test('a name in use is refused to everybody else and granted to its owner with a higher epoch', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    expect(await table.claim('tls:demo', 'ann')).toEqual({ok: true, epoch: 1});
    expect(await table.claim('tls:demo', 'bob')).toEqual({ok: false, reason: 'taken'});
    expect(await table.claim('tls:demo', 'ann')).toEqual({ok: true, epoch: 2});
  });

  test('a released name stays with its owner until the grace period has passed', async () => {
    await using scope = new Scope();
    const {table, time} = await open(scope);
    await table.claim('tls:demo', 'ann');
    await table.release('tls:demo', 1);
    time.now += GRACE_MS - 1;
    expect((await table.claim('tls:demo', 'bob')).ok).toBe(false);
    time.now += 1;
    expect(await table.claim('tls:demo', 'bob')).toEqual({ok: true, epoch: 2});
  });

  test('a late release of an earlier epoch changes nothing', async () => {
    await using scope = new Scope();
    const {table, time} = await open(scope);
    await table.claim('tls:demo', 'ann');
    await table.claim('tls:demo', 'ann');
    await table.release('tls:demo', 1);
    time.now += 10 * GRACE_MS;
    expect((await table.claim('tls:demo', 'bob')).ok).toBe(false);
  });

  test('an agent that had a name gets it back, unless another agent has claimed it since', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    expect(await table.claim('tls:demo', 'ann', {holder: 'one'})).toEqual({ok: true, epoch: 1});
    expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 1})).toEqual({ok: true, epoch: 2});
    // The answer with epoch 2 was lost: the same agent asks again.
    expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 1})).toEqual({ok: true, epoch: 3});
    expect(await table.claim('tls:demo', 'ann', {holder: 'two'})).toEqual({ok: true, epoch: 4});
    const late = await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 3});
    expect(late).toEqual({ok: false, reason: 'superseded'});
    await table.release('tls:demo', 4);
    expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 3})).toEqual(late);
    expect(await table.claim('tls:demo', 'ann', {holder: 'two', epoch: 4})).toEqual({ok: true, epoch: 5});
  });

  test('a table that was lost accepts the epoch that an agent had', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    expect(await table.claim('tls:demo', 'ann', {holder: 'one', epoch: 9})).toEqual({ok: true, epoch: 10});
  });

  test('free ports are those without a lease, in use or kept, in their order', async () => {
    await using scope = new Scope();
    const {table, time} = await open(scope);
    await table.claim('tcp:3', 'ann');
    await table.claim('tcp:1', 'bob');
    await table.claim('tls:2', 'ann');
    expect(await table.freePorts([4, 3, 2, 1])).toEqual([4, 2]);
    await table.release('tcp:3', 1);
    expect(await table.freePorts([4, 3, 2, 1])).toEqual([4, 2]);
    time.now += GRACE_MS;
    expect(await table.freePorts([4, 3, 2, 1])).toEqual([4, 3, 2]);
  });

  test('names of properties of JavaScript objects are valid', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(await table.ownerOf(`tls:${name}`)).toBeUndefined();
      expect((await table.claim(`tls:${name}`, 'ann')).ok).toBe(true);
    }
  });

  test('nobody ever gets a name that another owner has, and epochs only grow while it is in use', async () => {
    const step = fc.record({
      who: fc.constantFrom('ann', 'bob', 'cid'),
      key: fc.constantFrom<LeaseKey>('tls:a', 'tls:b', 'tcp:1'),
      what: fc.constantFrom('claim', 'release', 'wait'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, {maxLength: 60}), async (steps) => {
        await using scope = new Scope();
        const {table, time} = await open(scope);
        const model = new Map<LeaseKey, {owner: string; epoch: number; until: number}>();
        for (const {who, key, what} of steps) {
          const known = model.get(key);
          if (what === 'wait') time.now += GRACE_MS / 3;
          else if (what === 'claim') {
            const result = await table.claim(key, who);
            expect(result.ok).toBe(known === undefined || known.owner === who || known.until <= time.now);
            if (!result.ok) continue;
            if (known !== undefined && known.until > time.now) expect(result.epoch).toBe(known.epoch + 1);
            model.set(key, {owner: who, epoch: result.epoch, until: Number.POSITIVE_INFINITY});
          } else if (known !== undefined && known.until === Number.POSITIVE_INFINITY) {
            await table.release(key, known.epoch);
            known.until = time.now + GRACE_MS;
          }
        }
      }),
      {numRuns: 100},
    );
  });

  test('an invented epoch leaves room to grow for all later agents', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    const epochs: number[] = [];
    for (const epoch of [Number.MAX_SAFE_INTEGER, 2 ** 52, undefined, undefined]) {
      const claim = await table.claim('tls:demo', 'me', {epoch, holder: 'a'});
      if (claim.ok) epochs.push(claim.epoch);
    }
    expect(epochs).toEqual([1, 2 ** 52 + 1, 2 ** 52 + 2, 2 ** 52 + 3]);
  });

  test('the limit of an owner: the names released first make room, and without such names the owner is full', async () => {
    await using scope = new Scope();
    const {table} = await open(scope, {maxLeasesPerOwner: 3});
    for (const key of ['tls:a', 'tls:b', 'tls:c'] as const) await table.claim(key, 'ann');
    await table.release('tls:b', 1);
    await table.release('tls:a', 1);
    expect((await table.claim('tls:d', 'ann')).ok).toBe(true);
    expect(await taken(table, ['tls:a', 'tls:b', 'tls:c', 'tls:d'])).toEqual(['tls:a', 'tls:c', 'tls:d']);
    expect((await table.claim('tls:e', 'ann')).ok).toBe(true);
    expect(await taken(table, ['tls:a', 'tls:b', 'tls:c', 'tls:d', 'tls:e'])).toEqual([
      'tls:c',
      'tls:d',
      'tls:e',
    ]);
    expect(await table.claim('tls:f', 'ann')).toEqual({ok: false, reason: 'owner-full'});
    // It may have its own names again, and others have separate bounds.
    expect(await table.claim('tls:c', 'ann')).toEqual({ok: true, epoch: 2});
    expect((await table.claim('tls:f', 'bob')).ok).toBe(true);
    // An agent of the same owner with few names is not refused because of the others.
    expect((await table.claim('tls:g', 'ann', {withinShare: true})).ok).toBe(true);
  });

  test('the limit by the token of an owner: an agent within its share is refused as well, and released names make room', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    const claim = async (key: LeaseKey, mostOfOwner: number) =>
      await table.claim(key, 'ann', {withinShare: true, mostOfOwner});
    for (const key of ['tls:a', 'tls:b'] as const) expect((await claim(key, 2)).ok).toBe(true);
    expect(await claim('tls:c', 2)).toEqual({ok: false, reason: 'owner-limit'});
    // It keeps what it has when the limit is made narrower.
    expect(await claim('tls:a', 1)).toEqual({ok: true, epoch: 2});
    await table.release('tls:a', 2);
    expect((await claim('tls:c', 2)).ok).toBe(true);
    expect(await taken(table, ['tls:a', 'tls:b', 'tls:c'])).toEqual(['tls:b', 'tls:c']);
    expect((await claim('tls:d', 3)).ok).toBe(true);
  });

  test('the limit of all leases: no owner loses a name to make room for another', async () => {
    await using scope = new Scope();
    const {table} = await open(scope, {maxLeases: 2});
    await table.claim('tls:a', 'ann');
    await table.release('tls:a', 1);
    await table.claim('tls:b', 'bob');
    expect(await table.claim('tls:c', 'cid', {withinShare: true})).toEqual({ok: false, reason: 'full'});
    expect((await table.claim('tls:c', 'ann')).ok).toBe(true);
    expect(await taken(table, ['tls:a', 'tls:b', 'tls:c'])).toEqual(['tls:b', 'tls:c']);
  });

  test('a key that was chosen at random is not taken over, not even from its own owner', async () => {
    await using scope = new Scope();
    const {table, time} = await open(scope);
    await table.claim('tcp:1', 'ann');
    const byChance = {mustBeFree: true};
    expect(await table.claim('tcp:1', 'ann', byChance)).toEqual({ok: false, reason: 'taken'});
    await table.release('tcp:1', 1);
    expect(await table.claim('tcp:1', 'ann', byChance)).toEqual({ok: false, reason: 'taken'});
    time.now += GRACE_MS;
    expect(await table.claim('tcp:1', 'ann', byChance)).toEqual({ok: true, epoch: 2});
  });

  test('the owner of a key is known while it is in use and while it is kept', async () => {
    await using scope = new Scope();
    const {table, time} = await open(scope);
    expect(await table.ownerOf('tls:demo')).toBeUndefined();
    await table.claim('tls:demo', 'ann');
    expect(await table.ownerOf('tls:demo')).toBe('ann');
    await table.release('tls:demo', 1);
    expect(await table.ownerOf('tls:demo')).toBe('ann');
    time.now += GRACE_MS;
    expect(await table.ownerOf('tls:demo')).toBeUndefined();
  });

  test('of many that claim one key at once, one gets it', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    const owners = Array.from({length: 20}, (_, i) => `owner ${i}`);
    const claims = await Promise.all(owners.map((owner) => table.claim('tls:demo', owner)));
    expect(claims.filter(({ok}) => ok)).toEqual([{ok: true, epoch: 1}]);
    expect(await table.ownerOf('tls:demo')).toBe(owners[claims.findIndex(({ok}) => ok)]);
  });

  test('many claims of one owner at once are granted one after the other', async () => {
    await using scope = new Scope();
    const {table} = await open(scope);
    const claims = await Promise.all(Array.from({length: 20}, () => table.claim('tls:demo', 'ann')));
    const epochs = claims.map((claim) => (claim.ok ? claim.epoch : 0));
    expect(epochs.sort((a, b) => a - b)).toEqual(Array.from({length: 20}, (_, i) => i + 1));
  });

  test('the next process expects the names in use back, and gives them to nobody else', async () => {
    await using scope = new Scope();
    const {table, time, again} = await open(scope);
    await table.claim('tls:held', 'ann');
    await table.claim('tls:kept', 'ann');
    await table.release('tls:kept', 1);
    await table.drain?.(0);
    const next = await again();
    const known = survives ? 'ann' : undefined;
    expect(next.expected).toEqual(survives ? ['tls:held'] : []);
    expect([await next.ownerOf('tls:held'), await next.ownerOf('tls:kept')]).toEqual([known, known]);
    time.now += GRACE_MS;
    expect(await next.ownerOf('tls:held')).toBeUndefined();
  });
});
