// A peer that breaks the rules inside its session: the session ends with a code, memory stays bounded, nobody else notices.
import type {Socket} from 'node:net';
import {expect} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {
  count4,
  count8,
  frame,
  frameBytes,
  RawAgent,
  type RawAgentOptions,
  record,
  recordBytes,
} from '../helpers/raw-agent.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {type Recording, record as watch} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {domain, inspect, type Rig, sized, sleep, startRig} from './rig.js';
import {startWitness} from './witness.js';

interface Peer {
  agent: RawAgent;
  /** The stream of a visitor, which the agent has accepted. */
  stream: number;
  visitor: Socket;
  heard: Recording;
}

const optionsOf = (rig: Rig): RawAgentOptions => ({
  port: rig.relay.port,
  domain,
  caFile: rig.caFile,
  token: rig.relay.token,
});

async function startPeer(scope: Scope, rig: Rig): Promise<Peer> {
  const {agent} = await RawAgent.begin(scope, optionsOf(rig));
  const port = await agent.bindTcp();
  const visitor = await tcpVisitor(scope, port);
  const heard = watch(visitor);
  const {stream} = await agent.frame(({type}) => type === frame.open);
  agent.segment(frameBytes(frame.opened, stream));
  return {agent, stream, visitor, heard};
}

const bind = JSON.stringify({type: 'bind', request: 2, wish: {kind: 'tls', h2: false}});

const violations: Record<string, (peer: Peer) => void> = {
  'an ack of more than was sent': ({agent}) => agent.ack(agent.received + 1),
  'an ack that is too large for a count': ({agent}) => agent.ack(2n ** 63n),
  'an ack lower than the last one': ({agent}) => agent.ack(agent.received - 1),
  'a stream opened twice': ({agent}) =>
    agent.segment(frameBytes(frame.open, 2, '\u0002{}'), frameBytes(frame.open, 2, '\u0002{}')),
  'a stream of the other side opened': ({agent}) => agent.segment(frameBytes(frame.open, 5, '\u0001{}')),
  'an answer given twice': ({agent, stream}) => agent.segment(frameBytes(frame.opened, stream)),
  'a refusal after the answer': ({agent, stream}) => agent.segment(frameBytes(frame.refused, stream)),
  'data beyond the window': ({agent, stream, visitor}) => {
    visitor.pause();
    const data = frameBytes(frame.data, stream, Buffer.alloc(200_000));
    // More than all socket buffers on the path and the largest window together, so credit certainly runs out.
    for (let i = 0; i < 250; i += 1) agent.segment(data);
  },
  'data after the end': ({agent, stream}) =>
    agent.segment(frameBytes(frame.fin, stream), frameBytes(frame.data, stream, 'late')),
  'a second end': ({agent, stream}) =>
    agent.segment(frameBytes(frame.fin, stream), frameBytes(frame.fin, stream)),
  'data on a stream that was never opened': ({agent}) => agent.segment(frameBytes(frame.data, 7, 'x')),
  'an end of a stream that was never opened': ({agent}) => agent.segment(frameBytes(frame.fin, 2 ** 47)),
  'more credit than the maximum': ({agent, stream}) =>
    agent.segment(
      frameBytes(frame.credit, stream, count4(2 ** 31 - 1)),
      frameBytes(frame.credit, stream, count4(2 ** 31 - 1)),
    ),
  'credit of 0 bytes': ({agent, stream}) => agent.segment(frameBytes(frame.credit, stream, count4(0))),
  'a frame that does not exist': ({agent, stream}) => agent.segment(frameBytes(0x7f, stream, 'x')),
  'a frame that is too long': ({agent, stream}) =>
    agent.segment(frameBytes(frame.data, stream, 'x', 2 ** 24 - 1)),
  'an empty data frame': ({agent, stream}) => agent.segment(frameBytes(frame.data, stream)),
  'a control frame on a stream': ({agent, stream}) => agent.segment(frameBytes(frame.control, stream, bind)),
  'data on stream 0': ({agent}) => agent.segment(frameBytes(frame.data, 0, 'x')),
  'a control message that is not JSON': ({agent}) => agent.segment(frameBytes(frame.control, 0, '{')),
  'a control message of an unknown type': ({agent}) =>
    agent.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'give-me-all'}))),
  'a deeply nested control message': ({agent}) =>
    agent.segment(frameBytes(frame.control, 0, '['.repeat(60_000))),
  'a relay’s message from the agent': ({agent}) =>
    agent.segment(
      frameBytes(frame.control, 0, JSON.stringify({type: 'unbound', tunnel: 1, code: 'X', message: ''})),
    ),
  'a record that does not exist': ({agent}) => agent.send(recordBytes(0x66, Buffer.from('x'))),
  'a record that is too long': ({agent}) =>
    agent.send(recordBytes(record.segment, Buffer.from('x'), 2 ** 24 - 1)),
  'an empty record': ({agent}) => agent.send(recordBytes(record.segment, Buffer.alloc(0))),
  'an ack of seven bytes': ({agent}) => agent.send(recordBytes(record.ack, count8(1).subarray(1))),
  'a hello inside a session': ({agent}) =>
    agent.say({type: 'hello', software: 'by hand', nonce: agent.nonce}),
  'a welcome from the agent': ({agent}) => agent.say({type: 'refused', code: 'X', message: ''}),
};

/** The code that each of them ends with; PROTOCOL for unreadable input. */
const CODES: Partial<Record<string, string>> = {
  'an ack of more than was sent': 'ACK_RANGE',
  'an ack that is too large for a count': 'ACK_RANGE',
  'an ack lower than the last one': 'ACK_RANGE',
  'a stream opened twice': 'STREAM_REUSED',
  'a stream of the other side opened': 'STREAM_REUSED',
  'an answer given twice': 'STREAM_STATE',
  'a refusal after the answer': 'STREAM_STATE',
  'data beyond the window': 'WINDOW_EXCEEDED',
  'data after the end': 'STREAM_STATE',
  'a second end': 'STREAM_STATE',
  'data on a stream that was never opened': 'STREAM_UNKNOWN',
  'an end of a stream that was never opened': 'STREAM_UNKNOWN',
  'more credit than the maximum': 'CREDIT_RANGE',
  'credit of 0 bytes': 'CREDIT_RANGE',
};

test('each violation ends its own session with its code, and no other', async ({scope}) => {
  const rig = await startRig(scope);
  const witness = await startWitness(scope, rig);
  let right = 0;
  for (const [name, violate] of Object.entries(violations)) {
    await using inner = new Scope();
    const peer = await startPeer(inner, rig);
    violate(peer);
    const word = await peer.agent.lastWord();
    const code = CODES[name] ?? 'PROTOCOL';
    expect.soft(word, name).toBe(code);
    if (word === code) right += 1;
    // Its visitor sees a reset. A socket that has read its end notices that only when it writes.
    peer.visitor.resume();
    const writing = setInterval(() => peer.visitor.write('x'), 20);
    expect.soft(await peer.heard.closed, name).toMatch(/ECONNRESET|EPIPE/);
    clearInterval(writing);
  }
  expect(atLeast('violations', 'ended with their code', right, Object.keys(violations).length)).toBe(true);
  await witness.undisturbed();
});

test('records that are not allowed before the hello', async ({scope}) => {
  const rig = await startRig(scope);
  const early: Record<string, (agent: RawAgent) => void> = {
    'session bytes': (agent) => agent.segment(frameBytes(frame.control, 0, bind)),
    'an ack': (agent) => agent.ack(0),
    'another message': (agent) => agent.say({type: 'close', code: 'CLOSED', message: ''}),
    'a message that is not JSON': (agent) => agent.send(recordBytes(record.message, Buffer.from('hello'))),
    'a message that is too long': (agent) =>
      agent.send(recordBytes(record.message, Buffer.alloc(70_000, 32))),
  };
  for (const [name, send] of Object.entries(early)) {
    const agent = await RawAgent.connect(scope, optionsOf(rig));
    await agent.message('challenge');
    send(agent);
    expect.soft(await agent.lastWord(), name).toBe('PROTOCOL');
  }
});

const capLimit = 24 * MiB;

async function growth(rig: Rig, before: {external: number; heapUsed: number}): Promise<number> {
  const after = await inspect(rig.relay.cli);
  return after.external + after.heapUsed - before.external - before.heapUsed;
}

test.concurrent('a peer that never acknowledges', async ({scope, expect}) => {
  const rig = await startRig(scope);
  const witness = await startWitness(scope, rig);
  const before = await inspect(rig.relay.cli);
  const {agent, stream, visitor, heard} = await startPeer(scope, rig);
  agent.acks = false;
  agent.keeps = false;
  agent.segment(frameBytes(frame.credit, stream, count4(2 ** 30)));
  visitor.write(Buffer.alloc(64 * MiB));
  await agent.until(() => agent.received > 15 * MiB);
  expect.soft(atMost('never acknowledges', 'bytes held', await growth(rig, before), capLimit)).toBe(true);
  expect(await agent.lastWord()).toBe('ACK_OVERDUE');
  expect(atMost('never acknowledges', 'bytes sent without an ack', agent.received, 17 * MiB)).toBe(true);
  expect(await heard.closed).toBe('ECONNRESET');
  expect
    .soft(atMost('never acknowledges', 'bytes held after', await growth(rig, before), 12 * MiB))
    .toBe(true);
  await witness.undisturbed();
});

test.concurrent('a flood of opens that reads its refusals', async ({scope, expect}) => {
  const rig = await startRig(scope);
  const witness = await startWitness(scope, rig);
  const before = await inspect(rig.relay.cli);
  const {agent} = await startPeer(scope, rig);
  agent.keeps = false;
  const opens = sized(100_000, 1_000_000);
  let answered = agent.received;
  for (let id = 2; id < 2 * opens; id += 10_000) {
    const batch: Buffer[] = [];
    for (let at = id; at < id + 10_000; at += 2) batch.push(frameBytes(frame.open, at, '\u0002{}'));
    agent.segment(...batch);
    await agent.until(() => agent.received > answered);
    answered = agent.received;
  }
  expect.soft(atMost('flood of opens', 'bytes held', await growth(rig, before), capLimit)).toBe(true);
  await witness.undisturbed();
});

test.concurrent('a flood of opens that reads nothing', async ({scope, expect}) => {
  const rig = await startRig(scope);
  const witness = await startWitness(scope, rig);
  const before = await inspect(rig.relay.cli);
  const {agent} = await startPeer(scope, rig);
  const raw = (agent.socket as unknown as {_socket: Socket})._socket;
  raw.pause();
  let sent = 0;
  let over = false;
  void agent.closed.then(() => {
    over = true;
  });
  // The relay closes the connection. A socket that does not read notices that only by its writes. Eight million refusals are
  // more than may wait; after them it only pings, as long as the relay still reads the earlier bytes.
  for (let id = 2; !over; id += 20_000) {
    const batch: Buffer[] = [];
    for (let at = id; at < id + 20_000; at += 2) batch.push(frameBytes(frame.open, at, '\u0002{}'));
    agent.segment(...batch);
    sent += batch.length;
    if (sent > 8_000_000) await sleep(100);
    while (!over && raw.writableLength > MiB) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect.soft(atMost('flood unread', 'bytes held after', await growth(rig, before), capLimit)).toBe(true);
  expect
    .soft(atMost('flood unread', 'relay peak RSS bytes', rig.relay.cli.peakRssBytes(), 250 * MiB))
    .toBe(true);
  await witness.undisturbed();
});
