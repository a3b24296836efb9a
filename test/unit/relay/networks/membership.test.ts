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
  const net = await Net.linked(MEMORY, {
    onOpen: (_side, stream) => {
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
  agent.sink = {
    onData: (piece) => {
      state.unread += piece.length;
      if (!state.reads) return;
      reader.push(piece);
      agent.consumed(piece.length);
      for (let line = reader.next(); line !== undefined; line = reader.next()) {
        const read = parseNetworkLine(line);
        if (read !== undefined) lines.push(read);
      }
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
  };
}

const roster = (bytes: number) => `{"members":[]${' '.repeat(bytes)}}\n`;

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

test('a signature that does not come in time ends the stream', async () => {
  const all = await setUp();
  await using _net = all.net;
  all.net.clock.advance(60_000);
  await all.until(() => all.state.reset !== '');
  expect(all.lines.at(-1)).toMatchObject({ended: {code: 'MEMBER_UNPROVEN'}});
  expect([all.state.reset, all.log]).toEqual(['MEMBER_UNPROVEN', ['over MEMBER_UNPROVEN true']]);
});
