// The streams that an agent may open at a relay, and their limits.

import {expect, test} from 'vitest';
import {type UnreadHandle, type UnreadHolder, UnreadLimit} from '../../../../src/lib/bytes/unread-limit.js';
import {createLogger} from '../../../../src/lib/core/logger.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {KIND, type StreamKind} from '../../../../src/lib/protocol/wire.js';
import {type OwnerLimits, unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {OpenedStreams, type Opener} from '../../../../src/lib/relay/agents/opened-streams.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {MEMORY} from '../../../mux/fabrics.js';
import {Net} from '../../../mux/net.js';

const opener = (session: string, limits: OwnerLimits, tokenId?: string): Opener => ({
  session,
  principal: {...unlimitedPrincipal('token:1'), tokenId, limits},
  features: [],
});

interface Outcome {
  stream: Stream;
  outcome: string;
  message?: string | undefined;
}

/** Both ends of a session; the relay's end passes streams on to `streams`. */
async function setUp(limits: OwnerLimits = {}) {
  const clock = new ManualClock();
  const limit = new UnreadLimit({limitBytes: 2 ** 30, clock, log: createLogger('test', undefined)});
  const holders = new Map<UnreadHandle, UnreadHolder>();
  const left: (() => boolean)[] = [];
  const unread = {
    add: (holder: UnreadHolder) => {
      const handle = limit.add(holder);
      holders.set(handle, holder);
      return handle;
    },
    delete: (handle: UnreadHandle) => void holders.delete(handle),
    leave: (handle: UnreadHandle, keepsBytes: () => boolean) => {
      left.push(keepsBytes);
      holders.delete(handle);
    },
    full: false,
  };
  const taken: Stream[] = [];
  const streams = new OpenedStreams({unread, clock});
  streams.take(KIND.service, (stream) => {
    taken.push(stream);
    stream.accept();
  });
  const state: {session: string; tokenId: string | undefined} = {session: 'a', tokenId: undefined};
  const net = await Net.linked(MEMORY, {
    onOpen: (_side, stream, about) =>
      streams.offer(stream, about, opener(state.session, limits, state.tokenId)),
  });
  /** Opens `count` streams as the agent; resolves with the result of each. */
  const openMany = async (count: number, kind: number = KIND.service) => {
    const outcomes: Outcome[] = [];
    for (let i = 0; i < count; i += 1) {
      const stream = net.peers.session('agent').open(kind as StreamKind, {}) as Stream;
      stream.sink = {
        onData: () => {},
        onEnd: () => {},
        onWritable: () => {},
        onOpened: () => void outcomes.push({stream, outcome: 'opened'}),
        onReset: (outcome, message) => void outcomes.push({stream, outcome, message}),
      };
    }
    await net.until(() => outcomes.length >= count, 'answers');
    return outcomes;
  };
  const open = async (kind?: number) => (await openMany(1, kind))[0] as Outcome;
  const many = async (count: number) => (await openMany(count)).filter(({outcome}) => outcome === 'opened');
  return {
    [Symbol.asyncDispose]: () => net[Symbol.asyncDispose](),
    clock,
    holders,
    left,
    net,
    unread,
    taken,
    streams,
    state,
    open,
    many,
  };
}

test('the kind decides before the JSON is read', async () => {
  await using all = await setUp();
  expect(await all.open(KIND.carrier)).toMatchObject({outcome: 'KIND_UNKNOWN'});
  expect(await all.open()).toMatchObject({outcome: 'opened'});
  expect(all.streams.kinds).toEqual(['service']);
});

test('an agent has a limited number of open streams, and each kind of end makes room again', async () => {
  await using all = await setUp();
  expect(await all.many(1_100)).toHaveLength(1_024);
  // The rate limit allows more by now; the limit of open streams does not.
  all.clock.advance(10_000);
  const refused = await all.open();
  expect(refused).toMatchObject({
    outcome: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/1024 streams/),
  });
  // Another session has a separate limit.
  all.state.session = 'b';
  expect(await all.open()).toMatchObject({outcome: 'opened'});
  all.state.session = 'a';
  const [one, two, three] = all.taken as [Stream, Stream, Stream];
  one.reset('CANCELLED');
  for (const side of [two, three]) side.end();
  expect(await all.many(2)).toHaveLength(1);
});

test('an agent opens a limited number of streams at once, and after that a limited number per second', async () => {
  await using all = await setUp();
  const open = await all.many(1_024);
  for (const {stream} of open) stream.reset('CANCELLED');
  expect(await all.open()).toMatchObject({
    outcome: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/next in 1 s/),
  });
  all.clock.advance(1_000);
  expect(await all.many(300)).toHaveLength(200);
});

test('a kind with bounds of its own leaves those of the others alone', async () => {
  await using all = await setUp();
  const taken: Stream[] = [];
  const take = (stream: Stream) => {
    taken.push(stream);
    stream.accept();
  };
  all.streams.take(KIND.egress, take, undefined, {most: 3, burst: 5, perSecond: 1});
  const open = async () => (await all.open(KIND.egress)).outcome;
  expect([await open(), await open(), await open(), await open()]).toEqual([
    'opened',
    'opened',
    'opened',
    'TOO_MANY_STREAMS',
  ]);
  for (const stream of taken.splice(0)) stream.reset('CANCELLED');
  expect([await open(), await open(), await open()]).toEqual(['opened', 'opened', 'TOO_MANY_STREAMS']);
  expect(await all.many(1_024)).toHaveLength(1_024);
});

test('unread bytes of agents count as long as the stream exists, and the stream can be reset', async () => {
  await using all = await setUp();
  const {stream} = await all.open();
  expect([...all.holders.values()].map((holder) => holder.stream)).toEqual(all.taken);
  const over = new Promise((resolve) => {
    stream.sink.onReset = resolve;
  });
  [...all.holders.values()][0]?.cut();
  expect(await over).toBe('TOO_MUCH_UNREAD');
  expect(all.holders.size).toBe(0);
  all.unread.full = true;
  expect(await all.open()).toMatchObject({outcome: 'TOO_MUCH_UNREAD'});
});

test('a relay that shuts down accepts no more streams from agents', async () => {
  await using all = await setUp();
  await all.open();
  all.streams.drain();
  expect(await all.open()).toMatchObject({outcome: 'DRAINING'});
  expect(all.taken[0]?.state).toBe('open');
});

test('the limit of an owner counts the streams of all its agents', async () => {
  await using all = await setUp({maxStreams: 3});
  expect(await all.many(2)).toHaveLength(2);
  all.state.session = 'b';
  expect(await all.many(2)).toHaveLength(1);
  expect(await all.open()).toMatchObject({
    outcome: 'TOO_MANY_STREAMS',
    message: 'The owner may have 3 streams open at once.',
  });
  all.taken[0]?.reset('CANCELLED');
  expect(await all.open()).toMatchObject({outcome: 'opened'});
});

test('an owner with a token of its own has a limit over all its sessions', async () => {
  await using all = await setUp();
  all.state.tokenId = 'aaaaaaaaaa';
  let opened = 0;
  for (let session = 0; session < 21; session += 1) {
    all.state.session = String(session);
    opened += (await all.many(1_000)).length;
  }
  expect(opened).toBe(20_000);
  expect(await all.open()).toMatchObject({
    outcome: 'TOO_MANY_STREAMS',
    message: 'The owner may have 20000 streams open at once.',
  });
  all.taken[0]?.reset('CANCELLED');
  expect(await all.many(2)).toHaveLength(1);
  // The single token has no such limit.
  all.state.tokenId = undefined;
  expect(await all.open()).toMatchObject({outcome: 'opened'});
});

test.each([
  ['the limit of a kind counts its streams alone', {}, 3],
  ['the number in a token is in the place of all of them', {maxStreams: 6}, 5],
])('%s', async (_what, limits, expected) => {
  await using all = await setUp(limits);
  const bounds = {most: 10, mostOfOwner: 3, burst: 10, perSecond: 1};
  all.streams.take(KIND.member, (stream) => stream.accept(), undefined, bounds);
  all.state.tokenId = 'aaaaaaaaaa';
  expect(await all.open()).toMatchObject({outcome: 'opened'});
  const outcomes: string[] = [];
  for (let at = 0; at < 6; at += 1) outcomes.push((await all.open(KIND.member)).outcome);
  expect(outcomes.filter((each) => each === 'opened')).toHaveLength(expected);
});

test('bytes that a sink keeps when its stream is over stay in the budget', async () => {
  await using all = await setUp();
  const {stream} = await all.open();
  const [taken] = all.taken as [Stream];
  const sink = {onData: () => {}, onEnd: () => {}, onWritable: () => {}, onReset: () => {}, keepsBytes: true};
  taken.sink = sink;
  stream.write(Buffer.alloc(1_000));
  await all.net.until(() => taken.unreadBytes === 1_000, 'bytes');
  stream.reset('VISITOR_RESET');
  await all.net.until(() => all.left.length > 0, 'the end');
  expect([taken.state, all.left[0]?.()]).toEqual(['closed', true]);
  sink.keepsBytes = false;
  expect(all.left[0]?.()).toBe(false);
});
