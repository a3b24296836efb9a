// One stream of the service `network` at the relay: order, rates, and a member that does not read.

import {generateKeyPairSync, sign} from 'node:crypto';
import {expect, test} from 'vitest';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {encodeLine, LineReader} from '../../../../src/lib/protocol/lines.js';
import {
  memberText,
  NETWORK_LIMITS,
  type NetworkLine,
  parseNetworkLine,
} from '../../../../src/lib/protocol/network-messages.js';
import {KIND, LIMITS} from '../../../../src/lib/protocol/wire.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {TokenBuckets} from '../../../../src/lib/relay/doors/token-buckets.js';
import {Membership} from '../../../../src/lib/relay/networks/membership.js';
import {MEMORY} from '../../../mux/fabrics.js';
import {Net} from '../../../mux/net.js';

const LAB = {scope: 'net', network: 'lab'} as const;
const {privateKey, publicKey} = generateKeyPairSync('ed25519');
const key = publicKey.export({format: 'der', type: 'spki'}).subarray(-32);

async function setUp() {
  const log: string[] = [];
  const states: object[] = [];
  const lines: NetworkLine[] = [];
  let membership: Membership | undefined;
  let relay: Stream | undefined;
  const net = await Net.linked(MEMORY, {
    onOpen: (_side, stream) => {
      relay = stream;
      membership = new Membership({
        ...{stream, about: {...LAB, member: {name: 'a', key, accepts: true}}, domain: 'r1', clock: net.clock},
        opener: {session: 's', principal: unlimitedPrincipal('ana'), features: []},
        lines: new TokenBuckets({burst: 5, perSecond: 1, clock: net.clock}),
        source: 's',
        onProved: () => void log.push('proved'),
        onState: (state) => void states.push(state),
        onOver: (code, isEnded) => void log.push(`over ${code} ${isEnded}`),
      });
      membership.challenge();
    },
  });
  const reader = new LineReader(NETWORK_LIMITS.relayLineBytes);
  const agent = net.peers.session('agent').open(KIND.service, {}) as Stream;
  const state = {reads: true, reset: '', unread: 0};
  const waiting: Buffer[] = [];
  const read = () => {
    for (const piece of waiting.splice(0)) {
      reader.push(piece);
      agent.consumed(piece.length);
    }
    for (let line = reader.next(); line !== undefined; line = reader.next()) {
      const said = parseNetworkLine(line);
      if (said !== undefined) lines.push(said);
    }
  };
  agent.sink = {
    onData: (piece) => {
      state.unread += piece.length;
      waiting.push(piece);
      if (state.reads) read();
    },
    onEnd: () => {},
    onWritable: () => {},
    onReset: (code) => {
      state.reset = code;
    },
  };
  const until = (holds: () => boolean) => net.until(holds, 'it');
  await until(() => lines.length === 1);
  const {challenge} = lines[0] as {challenge: string};
  const signature = sign(null, memberText({relay: 'r1', ...LAB, name: 'a', challenge}), privateKey);
  const send = (line: object) => agent.write(encodeLine(line));
  const prove = () => send({signature: signature.toString('base64url')});
  const enter = () => (membership as Membership).enter({prefix: 'fdaa::/48', address: 'fdaa::1', serial: 1});
  return {
    net,
    agent,
    log,
    states,
    lines,
    state,
    until,
    send,
    prove,
    enter,
    membership: membership as unknown as Membership,
    /** The relay's end of the stream. */
    relay: relay as unknown as Stream,
    goOnReading: () => {
      state.reads = true;
      read();
    },
  };
}

const roster = (bytes: number) => Buffer.from(`{"members":[]${' '.repeat(bytes)}}\n`);

test('a roster that comes before the answer of the desk is shown after it', async () => {
  const all = await setUp();
  await using _net = all.net;
  all.prove();
  await all.until(() => all.log.length > 0);
  all.membership.show(roster(0));
  all.enter();
  await all.until(() => all.lines.length === 3);
  expect(all.lines.slice(1)).toEqual([
    {joined: {prefix: 'fdaa::/48', address: 'fdaa::1', serial: 1}},
    {members: []},
  ]);
});

test('states beyond the rate wait without credit, and none is lost', async () => {
  const all = await setUp();
  await using _net = all.net;
  all.prove();
  all.send({state: {i: 0}});
  await all.until(() => all.log.length > 0);
  expect(all.states).toEqual([]);
  all.enter();
  for (let i = 1; i < 20; i += 1) all.send({state: {i}});
  await all.until(() => all.states.length === 4);
  await all.until(() => all.states.length === 20);
  expect(all.states.at(-1)).toEqual({i: 19});
});

test('a member that does not read costs one roster, and ends itself', async () => {
  const all = await setUp();
  await using _net = all.net;
  all.prove();
  await all.until(() => all.log.length > 0);
  all.enter();
  all.state.reads = false;
  const line = roster(300_000);
  for (let i = 0; i < 1_000; i += 1) all.membership.show(line);
  await all.until(() => all.state.unread >= LIMITS.initialWindow);
  expect(all.agent.bytesIn).toBeLessThanOrEqual(LIMITS.initialWindow);
  all.net.clock.advance(29_000);
  expect(all.log).toEqual(['proved']);
  await all.until(() => all.state.reset !== '');
  expect(all.log).toEqual(['proved', 'over TOO_MUCH_UNREAD true']);
});

/** A member that has read half of a roster, so that the window is full. */
async function halfway() {
  const all = await setUp();
  all.prove();
  await all.until(() => all.log.length > 0);
  all.enter();
  await all.until(() => all.lines.length === 2);
  all.state.reads = false;
  all.state.unread = 0;
  all.membership.show(roster(400_000));
  await all.until(() => all.state.unread > 200_000);
  return all;
}

test('no copy of a roster waits for the window, and the newest one follows the one that has begun', async () => {
  const all = await halfway();
  await using _net = all.net;
  expect(all.relay.heldBytes).toBe(0);
  for (let i = 0; i < 3; i += 1) all.membership.show(roster(i));
  all.goOnReading();
  await all.until(() => all.lines.length === 4);
  expect(all.lines.slice(2)).toEqual([{members: []}, {members: []}]);
  expect(all.state.unread).toBe(roster(400_000).length + roster(2).length);
});

test('the reason of an end comes behind the roster that has begun, and no other roster does', async () => {
  const all = await halfway();
  await using _net = all.net;
  all.membership.show(roster(1));
  all.membership.end('NOT_ALLOWED', 'The token does not allow this.');
  expect(all.log).toEqual(['proved', 'over NOT_ALLOWED true']);
  all.goOnReading();
  await all.until(() => all.state.reset !== '');
  expect(all.state.reset).toBe('NOT_ALLOWED');
  expect(all.lines.slice(2)).toEqual([
    {members: []},
    {ended: {code: 'NOT_ALLOWED', message: 'The token does not allow this.'}},
  ]);
});

test('a signature that does not come in time ends the stream', async () => {
  const all = await setUp();
  await using _net = all.net;
  all.net.clock.advance(60_000);
  await all.until(() => all.state.reset !== '');
  expect(all.lines.at(-1)).toMatchObject({ended: {code: 'MEMBER_UNPROVEN'}});
  expect([all.state.reset, all.log]).toEqual(['MEMBER_UNPROVEN', ['over MEMBER_UNPROVEN true']]);
});

test('a member that ends its stream before the desk has answered gets an answer, and leaves nothing', async () => {
  const log: string[] = [];
  let membership: Membership | undefined;
  await using net = await Net.linked(MEMORY, {
    onOpen: (_side, stream) => {
      membership = new Membership({
        ...{stream, about: {...LAB, member: {name: 'a', key, accepts: true}}, domain: 'r1', clock: net.clock},
        opener: {session: 's', principal: unlimitedPrincipal('ana'), features: []},
        lines: new TokenBuckets({burst: 5, perSecond: 1, clock: net.clock}),
        source: 's',
        onProved: () => {},
        onState: () => {},
        onOver: (code, isEnded) => void log.push(`over ${code} ${isEnded}`),
      });
    },
  });
  const agent = net.peers.session('agent').open(KIND.service, {}) as Stream;
  let answer = '';
  agent.sink = {
    onData: () => {},
    onEnd: () => {},
    onWritable: () => {},
    onReset: (code) => {
      answer = code;
    },
  };
  agent.end();
  await net.until(() => answer !== '', 'an answer');
  // The answer of the desk.
  membership?.challenge();
  expect([answer, log]).toEqual(['CANCELLED', ['over undefined false']]);
  for (const side of ['agent', 'relay'] as const) expect(net.peers.session(side).streamCount).toBe(0);
});
