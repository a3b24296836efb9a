// How many memberships a session and its owner may have, how fast they may join, and what a roster for all of them costs.

import {expect, test} from 'vitest';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {networkOpen} from '../../../../src/lib/protocol/network-messages.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {LocalDesk} from '../../../../src/lib/relay/networks/desk.js';
import {Networks} from '../../../../src/lib/relay/networks/networks.js';
import {MEMORY} from '../../../mux/fabrics.js';
import {Net} from '../../../mux/net.js';

async function setUp() {
  const noted: string[] = [];
  const state = {session: 's0'};
  const net: Net = await Net.linked(MEMORY, {
    onOpen: (_side, stream, about) =>
      networks.service(stream, about, {
        session: state.session,
        principal: unlimitedPrincipal('ana'),
        features: [],
      }),
  });
  const desk = new LocalDesk(net.clock);
  const networks = new Networks({
    ...{domain: 'r1', desk, clock: net.clock},
    events: {emit: () => {}},
    reports: {note: (limit, by, of) => void noted.push(`${limit} ${by} ${of}`)},
  });
  desk.serves(networks);
  /** Opens a stream that watches; resolves with its answer. */
  const watch = async () => {
    const outcome: {code?: string; message?: string | undefined} = {};
    const stream = net.peers
      .session('agent')
      .open(KIND.service, networkOpen({scope: 'net', network: 'lab'})) as Stream;
    stream.sink = {
      onData: (piece) => stream.consumed(piece.length),
      onEnd: () => {},
      onWritable: () => {},
      onOpened: () => void Object.assign(outcome, {code: 'opened'}),
      onReset: (code, message) => void Object.assign(outcome, {code, message}),
    };
    // Without moving the clock, so that no join comes back.
    for (let turns = 0; outcome.code === undefined && turns < 1_000; turns += 1) await net.goOn();
    return {...outcome, stream};
  };
  const many = async (count: number) => {
    const streams: Stream[] = [];
    for (let i = 0; i < count; i += 1) {
      const {code, stream} = await watch();
      expect(code).toBe('opened');
      streams.push(stream);
    }
    return streams;
  };
  return {net, networks, state, noted, watch, many};
}

test('a session has 64 memberships at most', async () => {
  const {net, watch, many, noted, state} = await setUp();
  await using _net = net;
  const streams = await many(64);
  net.clock.advance(3_600_000);
  expect(await watch()).toMatchObject({
    code: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/64 networks/),
  });
  expect(noted).toEqual(['members owner ana']);
  streams[0]?.end();
  await net.goOn();
  expect(await watch()).toMatchObject({code: 'opened'});
  state.session = 's1';
  expect(await watch()).toMatchObject({code: 'opened'});
});

test('a session joins 64 times at once, and twice a second after that', async () => {
  const {net, watch, many} = await setUp();
  await using _net = net;
  for (const stream of await many(64)) stream.end();
  await net.goOn();
  expect(await watch()).toMatchObject({
    code: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/next in 1 s/),
  });
  net.clock.advance(1_000);
  await many(2);
  expect(await watch()).toMatchObject({code: 'TOO_MANY_STREAMS'});
});

test('all sessions of an owner join 512 times at once', async () => {
  const {net, state, watch, many} = await setUp();
  await using _net = net;
  for (let session = 0; session < 8; session += 1) {
    state.session = `s${session}`;
    for (const stream of await many(64)) stream.end();
    await net.goOn();
  }
  state.session = 's8';
  expect(await watch()).toMatchObject({
    code: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/joins in a row/),
  });
  net.clock.advance(1_000);
  await many(20);
});

test('an owner has 256 streams that only watch, in all sessions together', async () => {
  const {net, state, watch, many} = await setUp();
  await using _net = net;
  const streams: Stream[] = [];
  for (let session = 0; session < 4; session += 1) {
    state.session = `s${session}`;
    streams.push(...(await many(64)));
  }
  state.session = 's4';
  expect(await watch()).toMatchObject({
    code: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/watch with 256 streams/),
  });
  streams[0]?.end();
  await net.goOn();
  expect(await watch()).toMatchObject({code: 'opened'});
});

test('a long roster for many streams waits in one buffer, and each of them gets it', async () => {
  const {net, networks, many} = await setUp();
  await using _net = net;
  const streams = await many(64);
  const before = streams.map(({bytesIn}) => bytesIn);
  const line = `{"members":[]${' '.repeat(300_000)}}\n`;
  networks.roster('net:lab', line);
  // The queue of a session, and the pieces of quiet streams beyond it. All copies would be 19 MB.
  expect(net.peers.session('relay').queuedBytes).toBeLessThan(3 * 2 ** 20);
  const got = () => streams.filter(({bytesIn}, at) => bytesIn === (before[at] ?? 0) + line.length).length;
  await net.until(
    () => got() === streams.length,
    'all rosters',
    () => String(streams.reduce((sum, {bytesIn}) => sum + bytesIn, 0)),
  );
});
