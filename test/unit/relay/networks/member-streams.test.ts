// Streams between members at the relay: answers that never come, limits, and other workers.

import {expect, test} from 'vitest';
import {Rate} from '../../../../src/lib/bytes/pace.js';
import {UnreadLimit} from '../../../../src/lib/bytes/unread-limit.js';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {createLogger} from '../../../../src/lib/core/logger.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import type {Limited} from '../../../../src/lib/relay/limits/bandwidth.js';
import type {MemberPlace} from '../../../../src/lib/relay/networks/desk.js';
import {MemberJoins} from '../../../../src/lib/relay/networks/member-joins.js';
import {MemberStreams, type MemberStreamsOptions} from '../../../../src/lib/relay/networks/member-streams.js';
import type {Membership} from '../../../../src/lib/relay/networks/membership.js';
import {MEMORY} from '../../../mux/fabrics.js';
import {Net} from '../../../mux/net.js';

const member = (name: string, session: string, accepts = true): Membership =>
  ({
    ...{isIn: true, address: 'fdaa::1', joins: new MemberJoins(), waiting: 0},
    about: {scope: 'net', network: 'lab', member: {name, key: Buffer.alloc(32), accepts}},
    opener: {session, principal: unlimitedPrincipal('ana'), features: []},
  }) as unknown as Membership;

async function setUp(more: Partial<MemberStreamsOptions> & {place?: MemberPlace} = {}) {
  const [mine, theirs] = [member('worker', 'a'), member('trainer', 'b')];
  const offered: Stream[] = [];
  const right: Net = await Net.linked(MEMORY, {onOpen: (_side, stream) => void offered.push(stream)});
  const unread = new UnreadLimit({
    limitBytes: 2 ** 30,
    clock: right.clock,
    log: createLogger('test', undefined),
  });
  let watched = 0;
  const streams = new MemberStreams({
    networks: {memberOf: () => mine, memberNumbered: () => theirs},
    desk: {find: async () => more.place ?? {member: 1, worker: undefined}},
    openTo: (_session, about) => right.peers.session('relay').open(KIND.member, about),
    peers: undefined,
    bandwidths: {of: () => undefined},
    rendezvous: {
      open: () => undefined,
      pace: () => {},
      bytesOf: () => () => ({fromOpener: 0, fromTarget: 0}),
    },
    unread: {
      add: (holder) => {
        watched += 1;
        return unread.add(holder);
      },
      delete: (handle) => {
        watched -= 1;
        unread.delete(handle);
      },
    },
    clock: right.clock,
    ...more,
  });
  const left: Net = await Net.linked(MEMORY, {
    onOpen: (_side, stream, about) => streams.take(stream, about, mine.opener),
  });
  const open = () => {
    const outcome = Promise.withResolvers<[code: string, message?: string | undefined]>();
    const about = {scope: 'net', network: 'lab', from: 'worker', to: 'trainer', port: 1};
    const stream = left.peers.session('agent').open(KIND.member, about) as Stream;
    const ignore = () => {};
    stream.sink = {
      ...{onData: ignore, onEnd: ignore, onWritable: ignore},
      onOpened: () => outcome.resolve(['opened']),
      onReset: (code, message) => outcome.resolve([code, message]),
    };
    return {stream, outcome: outcome.promise};
  };
  const until = (holds: () => boolean) =>
    left.until(() => {
      if (!holds()) void right.goOn();
      return holds();
    }, 'it');
  return {
    ...{mine, theirs, offered, open, until, streams, clock: right.clock, watched: () => watched},
    async [Symbol.asyncDispose]() {
      unread.close();
      await left[Symbol.asyncDispose]();
      await right[Symbol.asyncDispose]();
    },
  };
}

test('a member that never answers costs its opener a minute', async () => {
  await using all = await setUp();
  const {outcome} = all.open();
  await all.until(() => all.offered.length === 1);
  expect([all.mine.joins.size, all.theirs.joins.size, all.theirs.waiting, all.watched()]).toEqual([
    1, 1, 1, 2,
  ]);
  all.clock.advance(60_000);
  await all.until(() => all.mine.joins.size === 0);
  expect(await outcome).toEqual(['UPSTREAM_TIMEOUT', 'The member did not answer in time.']);
  expect([all.theirs.joins.size, all.theirs.waiting, all.watched()]).toEqual([0, 0, 0]);
});

test('bytes count for both members, while the stream is open and after its end', async () => {
  await using all = await setUp();
  const {stream, outcome} = all.open();
  await all.until(() => all.offered.length === 1);
  const far = all.offered[0] as Stream;
  const ignore = () => {};
  far.sink = {onData: ignore, onEnd: ignore, onWritable: ignore, onReset: ignore};
  far.accept();
  await all.until(() => all.theirs.waiting === 0);
  expect(await outcome).toEqual(['opened']);
  stream.write(Buffer.alloc(700));
  far.write(Buffer.alloc(50));
  const sums = [
    {bytesIn: 50, bytesOut: 700},
    {bytesIn: 700, bytesOut: 50},
  ];
  const traffic = () => [all.mine, all.theirs].map(({joins}) => joins.traffic);
  await all.until(() => JSON.stringify(traffic()) === JSON.stringify(sums));
  stream.end();
  far.end();
  await all.until(() => all.mine.joins.size + all.theirs.joins.size === 0);
  expect(traffic()).toEqual(sums);
});

test('256 streams to a member may wait for its answer', async () => {
  await using all = await setUp();
  const opened = Array.from({length: 257}, () => all.open());
  let last: string | undefined;
  void opened[256]?.outcome.then(([code]) => {
    last = code;
  });
  await all.until(() => last !== undefined);
  expect(last).toBe('TOO_MANY_STREAMS');
  await all.until(() => all.offered.length === 256);
  for (const stream of all.offered) stream.accept();
  await all.until(() => all.theirs.waiting === 0);
  expect(await Promise.all(opened.slice(0, 256).map(({outcome}) => outcome))).toEqual(
    Array(256).fill(['opened']),
  );
  all.clock.advance(60_000);
  expect(all.mine.joins.size).toBe(256);
});

test('a member at another worker is reached there, if that one still is there', async () => {
  const about: unknown[] = [];
  const place = {member: 7, worker: 2};
  await using gone = await setUp({place, peers: {open: async (...asked) => void about.push(asked)}});
  const {outcome} = gone.open();
  await gone.until(() => about.length > 0 && gone.mine.joins.size === 0);
  expect((await outcome)[0]).toBe('MEMBER_UNKNOWN');
  expect(about).toEqual([[2, expect.objectContaining({member: 7, to: 'trainer', port: 1})]]);
  await using none = await setUp({place});
  const other = none.open();
  await none.until(() => none.mine.joins.size === 0);
  expect((await other.outcome)[0]).toBe('MEMBER_UNKNOWN');
});

test('an opener that leaves while the desk is asked opens nothing', async () => {
  const found = Promise.withResolvers<MemberPlace>();
  await using all = await setUp({desk: {find: () => found.promise}});
  const {stream} = all.open();
  await all.until(() => all.mine.joins.size === 1);
  stream.reset('CANCELLED');
  await all.until(() => all.mine.joins.size === 0);
  found.resolve({member: 1, worker: undefined});
  await found.promise;
  expect([all.offered.length, all.theirs.waiting, all.watched()]).toEqual([0, 0, 0]);
});

test('bytes between members wait for the bandwidth of both owners', async () => {
  const asked: Limited[] = [];
  let released = 0;
  const rate = new Rate({clock: systemClock, bytesPerSecond: () => 10_000});
  const bandwidths = {
    of: (limited: Limited) => {
      asked.push(limited);
      return {
        rates: [rate],
        release: () => {
          released += 1;
        },
      };
    },
  };
  await using all = await setUp({bandwidths});
  const {stream} = all.open();
  await all.until(() => all.offered.length === 1);
  const [ana, ben] = [all.mine, all.theirs].map(({opener}) => opener.principal);
  expect(asked).toEqual([{principal: ben, peer: ana, isCountedElsewhere: false}]);
  all.offered[0]?.accept();
  stream.write(Buffer.alloc(100_000));
  stream.write(Buffer.alloc(100_000));
  await all.until(() => rate.busy);
  stream.reset('CANCELLED');
  await all.until(() => all.mine.joins.size === 0);
  expect([released, rate.busy]).toEqual([1, false]);
});

test('an opener that is at another worker is counted for the relay there', async () => {
  const asked: Limited[] = [];
  const bandwidths = {of: (limited: Limited) => void asked.push(limited)};
  // This worker has the opener, and the next one the member.
  const far = await Net.linked(MEMORY, {});
  await using _far = far;
  const to = far.peers.session('relay').open(KIND.member, {});
  await using from = await setUp({
    bandwidths,
    place: {member: 7, worker: 2},
    peers: {open: async () => to},
  });
  from.open();
  await from.until(() => asked.length > 0);
  await using there = await setUp({bandwidths});
  const between: Net = await Net.linked(MEMORY, {
    onOpen: (_side, stream, about) => there.streams.fromPeer(stream, about),
  });
  await using _between = between;
  const offer = {scope: 'net', network: 'lab', to: 'trainer', from: {name: 'worker', address: 'fdaa::1'}};
  between.peers.session('agent').open(KIND.member, {...offer, port: 1, member: 1});
  await between.until(() => asked.length > 1, 'the offer');
  expect(asked).toEqual([
    {principal: from.mine.opener.principal},
    {principal: there.theirs.opener.principal, peer: undefined, isCountedElsewhere: true},
  ]);
});
