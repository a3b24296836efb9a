// The owner of a tunnel when binds, takeovers and ends race, with a lease store that answers late and in any order.

import fc from 'fast-check';
import {expect, test} from 'vitest';
import {type Clock, systemClock} from '../../../../src/lib/core/clock.js';
import {TunlError} from '../../../../src/lib/core/errors.js';
import {createLogger, type LogRecord} from '../../../../src/lib/core/logger.js';
import type {Session} from '../../../../src/lib/mux/session.js';
import type {TunnelRequest} from '../../../../src/lib/protocol/control-messages.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import type {LeaseKey, LeaseStore} from '../../../../src/lib/relay/leases/lease-store.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {TcpPorts} from '../../../../src/lib/relay/tunnels/tcp-ports.js';
import {type Tunnel, TunnelTable} from '../../../../src/lib/relay/tunnels/tunnel-table.js';
import {accepts} from '../../../helpers/accepts.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {Scope, unusedPort} from '../../../helpers/scope.js';

/** A store across a slow network: each request and each answer arrives when the test calls `next` for it. */
class SlowStore implements LeaseStore {
  readonly expected = [];
  readonly inner = new MemoryLeases({graceMs: 60_000});
  readonly #onTheWay: (() => void)[] = [];

  claim: LeaseStore['claim'] = (...asked) => this.#ask(() => this.inner.claim(...asked));
  release: LeaseStore['release'] = (...asked) => this.#ask(() => this.inner.release(...asked));
  ownerOf: LeaseStore['ownerOf'] = (...asked) => this.#ask(() => this.inner.ownerOf(...asked));
  freePorts: LeaseStore['freePorts'] = (...asked) => this.#ask(() => this.inner.freePorts(...asked));

  /** Returns false when nothing is under way. */
  next(which: number): boolean {
    const [arrive] = this.#onTheWay.splice(which % Math.max(1, this.#onTheWay.length), 1);
    arrive?.();
    return arrive !== undefined;
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    await this.#travel();
    const answer = await question();
    await this.#travel();
    return answer;
  }

  #travel(): Promise<void> {
    return new Promise((resolve) => void this.#onTheWay.push(resolve));
  }
}

function tableOn(
  leases: LeaseStore,
  {
    log = [],
    events = [],
    range = [0, 0],
    blocked = new Set(),
    clock = systemClock,
  }: {
    log?: LogRecord[];
    events?: RelayEvent[];
    range?: [number, number];
    blocked?: Set<LeaseKey>;
    clock?: Clock;
  } = {},
) {
  const ports = new TcpPorts({range, host: '127.0.0.1', reusePort: false});
  const tunnels = new TunnelTable({
    domain: 'r1.localhost',
    publicPort: () => 443,
    tcpPublicHost: 'r1.localhost',
    clock,
    h2Offered: true,
    leases,
    ports,
    blocks: {hasName: (key) => blocked.has(key)},
    events: {emit: (event) => void events.push(event)},
    log: createLogger('test', (record) => void log.push(record)),
  });
  return {ports, tunnels};
}

/** A session that binds, and its answers. */
class Binder {
  readonly owner: string;
  readonly answer: Promise<void>;
  tunnel: Tunnel | undefined;
  lost: string | undefined;
  refused: string | undefined;

  constructor(tunnels: TunnelTable, owner: string, wish: TunnelRequest) {
    this.owner = owner;
    this.answer = tunnels
      .bind({
        wish,
        principal: unlimitedPrincipal(owner),
        claimant: {holder: owner},
        addresses: undefined,
        session: {link: {}} as Session,
        sessionName: owner,
        onLost: (code) => {
          this.lost = code;
        },
        warn: () => {},
      })
      .then(
        (tunnel) => {
          this.tunnel = tunnel;
        },
        (error: unknown) => {
          this.refused = error instanceof TunlError ? error.code : String(error);
        },
      );
  }

  get has(): boolean {
    return this.tunnel !== undefined && this.lost === undefined;
  }
}

/** The epochs under which a key is bound, according to these events. */
function boundBy(events: readonly RelayEvent[], key: LeaseKey): number[] {
  const bound = new Set<number>();
  for (const event of events) {
    if (!('key' in event) || event.key !== key) continue;
    if (event.type === 'tunnel-bound') bound.add(event.epoch);
    else bound.delete(event.epoch);
  }
  return [...bound];
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('with any delays of the store, each tunnel has one owner, its port listens, and its lease is in use', async () => {
  const step = fc.record({
    what: fc.constantFrom('bind', 'bind', 'release', 'arrive', 'arrive', 'arrive'),
    owner: fc.constantFrom('ann', 'bob'),
    which: fc.nat(20),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, {maxLength: 40}), async (steps) => {
      await using scope = new Scope();
      const ports = [await unusedPort(), await unusedPort()];
      const keys: LeaseKey[] = ['tls:demo', ...ports.map((port): LeaseKey => `tcp:${port}`)];
      const wishes: TunnelRequest[] = [
        {kind: 'tls', name: 'demo', h2: false},
        ...ports.map((port): TunnelRequest => ({kind: 'tcp', port})),
      ];
      const store = new SlowStore();
      const events: RelayEvent[] = [];
      const {tunnels, ports: listeners} = tableOn(store, {events});
      scope.onEnd(() => listeners.closeAll());
      const binders: Binder[] = [];
      const released = new Set<Tunnel>();
      const releases: Promise<void>[] = [];
      const release = (binder: Binder | undefined) => {
        if (binder?.tunnel === undefined || !binder.has) return;
        released.add(binder.tunnel);
        releases.push(tunnels.release(binder.tunnel));
      };
      const settle = async () => {
        const all = Promise.all([...binders.map(({answer}) => answer), ...releases]).then(() => true);
        for (let done = false; !done; done = await Promise.race([all, turn().then(() => false)]))
          store.next(binders.length);
      };
      for (const {what, owner, which} of steps) {
        if (what === 'bind')
          binders.push(new Binder(tunnels, owner, wishes[which % wishes.length] as TunnelRequest));
        else if (what === 'release') release(binders[which % Math.max(1, binders.length)]);
        else store.next(which);
        await turn();
      }
      await settle();
      for (const key of keys) {
        const holders = binders.filter(
          (binder) => binder.has && binder.tunnel?.key === key && !released.has(binder.tunnel),
        );
        expect(holders.length).toBeLessThanOrEqual(1);
        const tunnel = holders[0]?.tunnel;
        const port = key.startsWith('tcp:') ? Number(key.slice(4)) : undefined;
        expect(port === undefined ? tunnels.named('demo') : tunnels.ofPort(port)).toBe(tunnel);
        if (port !== undefined) expect(await accepts(port)).toBe(tunnel !== undefined);
        const lease = store.inner.lease(key);
        const held = lease !== undefined && lease.expiresAt === undefined;
        expect(held ? lease.epoch : undefined).toBe(tunnel?.epoch);
        expect(boundBy(events, key)).toEqual(tunnel === undefined ? [] : [tunnel.epoch]);
      }
      for (const binder of binders) release(binder);
      await settle();
      expect(tunnels.size).toBe(0);
      for (const port of ports) expect(await accepts(port)).toBe(false);
    }),
    {numRuns: 60},
  );
});

test('two agents of one owner that request any port at the same time never get the same one', async () => {
  const only = await unusedPort();
  const {tunnels, ports} = tableOn(new MemoryLeases({graceMs: 60_000}), {range: [only, only]});
  const both = [1, 2].map(() => new Binder(tunnels, 'ann', {kind: 'tcp'}));
  await Promise.all(both.map(({answer}) => answer));
  expect(both.map(({has, refused, lost}) => [has, refused, lost])).toEqual([
    [true, undefined, undefined],
    [false, 'NO_FREE_PORT', undefined],
  ]);
  ports.closeAll();
});

test('a full range is searched once for many binds, with few questions, and again a second later', async () => {
  const leases = new MemoryLeases({graceMs: 60_000});
  const last = await unusedPort();
  const first = last - 20_000;
  for (let port = first; port <= last; port += 1) await leases.claim(`tcp:${port}`, 'bob');
  let questions = 0;
  const counted: LeaseStore = {
    expected: [],
    claim: (...asked) => leases.claim(...asked),
    release: (...asked) => leases.release(...asked),
    ownerOf: (...asked) => {
      questions += 1;
      return leases.ownerOf(...asked);
    },
    freePorts: (...asked) => {
      questions += 1;
      return leases.freePorts(...asked);
    },
  };
  const clock = new ManualClock();
  const {tunnels, ports} = tableOn(counted, {range: [first, last], clock});
  const bind = async (count: number) => {
    const binders = Array.from({length: count}, () => new Binder(tunnels, 'ann', {kind: 'tcp'}));
    await Promise.all(binders.map(({answer}) => answer));
    return binders.map(({refused}) => refused);
  };
  expect(new Set(await bind(20))).toEqual(new Set(['NO_FREE_PORT']));
  // Each has asked for a few random ports, and one of them for all.
  expect(questions).toBeLessThan(20 * 6 + 30);
  questions = 0;
  await bind(20);
  expect(questions).toBe(0);
  // A port that is free now is found when the range is searched again.
  leases.reload({leaseGraceMs: 0, maxLeasesPerOwner: 1_000_000});
  await leases.release(`tcp:${last}`, 1);
  expect(await bind(1)).toEqual(['NO_FREE_PORT']);
  clock.advance(1_000);
  expect(await bind(1)).toEqual([undefined]);
  expect(tunnels.ofPort(last)).toBeDefined();
  expect(questions).toBeLessThan(40);
  ports.closeAll();
});

test.each<[TunnelRequest, LeaseKey]>([
  [{kind: 'tls', name: 'demo', h2: false}, 'tls:demo'],
  [{kind: 'tcp', port: 23_456}, 'tcp:23456'],
])('what is blocked while an agent asks for it is refused: %j', async (wish, key) => {
  const store = new SlowStore();
  const blocked = new Set<LeaseKey>();
  const events: RelayEvent[] = [];
  const {tunnels, ports} = tableOn(store, {events, blocked, range: [23_456, 23_456]});
  const binder = new Binder(tunnels, 'ann', wish);
  let isOver = false;
  void binder.answer.then(() => {
    isOver = true;
  });
  // The store has granted the claim, and its answer is under way.
  while (store.inner.lease(key) === undefined) {
    store.next(0);
    await turn();
  }
  blocked.add(key);
  while (!isOver) {
    store.next(0);
    await turn();
  }
  expect([binder.refused, tunnels.size, events]).toEqual(['BLOCKED', 0, []]);
  while (store.next(0)) await turn();
  expect(store.inner.lease(key)?.expiresAt).toBeDefined();
  ports.closeAll();
});

test('when the store fails while a tunnel is released, the error is logged and the port is closed', async () => {
  const log: LogRecord[] = [];
  const leases = new MemoryLeases({graceMs: 60_000});
  leases.release = () => Promise.reject(new Error('away'));
  const {tunnels} = tableOn(leases, {log});
  const binder = new Binder(tunnels, 'ann', {kind: 'tcp'});
  await binder.answer;
  const {port = 0} = binder.tunnel ?? {};
  expect(await accepts(port)).toBe(true);
  await tunnels.release(binder.tunnel as Tunnel);
  expect(await accepts(port)).toBe(false);
  expect(log.at(-1)).toMatchObject({level: 'error', fields: {key: `tcp:${port}`, reason: 'Error: away'}});
});
