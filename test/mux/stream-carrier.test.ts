import {describe, expect, test} from 'vitest';
import type {Stream} from '../../src/lib/mux/stream.js';
import {StreamCarrier} from '../../src/lib/mux/stream-carrier.js';
import {KIND, LIMITS} from '../../src/lib/protocol/wire.js';
import {listenTo, send} from '../helpers/carriers.js';
import {MEMORY} from './fabrics.js';
import {Net} from './net.js';

/** Two carriers at the ends of one stream of another session. */
async function carriers() {
  const streams: Stream[] = [];
  const net = await Net.linked(MEMORY, {onOpen: (_side, stream) => void streams.push(stream)});
  const offered = net.peers.session('agent').open(KIND.carrier, {}) as Stream;
  const options = {clock: net.clock, highWaterBytes: 100_000};
  const agent = new StreamCarrier(offered, options);
  await net.until(() => streams.length === 1, 'the open');
  const [stream] = streams as [Stream];
  stream.accept();
  const relay = new StreamCarrier(stream, options);
  return {net, agent, relay, streams: {agent: offered, relay: stream}};
}

const bytes = (length: number, value: number) => Buffer.alloc(length, value);

describe('a stream as a carrier', () => {
  test('brings every byte, in order, both ways, and gives every block back', async () => {
    const {net, agent, relay} = await carriers();
    await using _ = net;
    const [at, there] = [listenTo(agent), listenTo(relay)];
    let written = 0;
    const sent: Buffer[] = [];
    for (let i = 0; i < 40; i += 1) {
      const chunk = bytes(30_000, i);
      sent.push(chunk);
      for (const carrier of [agent, relay]) void send(carrier, chunk).then(() => (written += 1));
    }
    await net.until(
      () => at.bytes + there.bytes === 2_400_000,
      'all bytes',
      () => `${at.bytes} ${there.bytes}`,
    );
    expect(at.data.equals(Buffer.concat(sent))).toBe(true);
    expect(there.data.equals(Buffer.concat(sent))).toBe(true);
    expect(written).toBe(80);
  });

  test('keeps bytes that came before it had a listener', async () => {
    const {net, agent, relay} = await carriers();
    await using _ = net;
    void send(agent, bytes(50_000, 1));
    void send(agent, bytes(50_000, 2));
    await net.rest();
    const there = listenTo(relay);
    await net.until(() => there.bytes === 100_000, 'the early bytes');
    expect(there.data.equals(Buffer.concat([bytes(50_000, 1), bytes(50_000, 2)]))).toBe(true);
  });

  test('that is paused holds back the stream below, and an end meanwhile loses nothing', async () => {
    const {net, agent, relay} = await carriers();
    await using _ = net;
    const there = listenTo(relay);
    await net.rest();
    relay.pause();
    const sent = bytes(400_000, 7);
    void send(agent, sent);
    await net.rest();
    expect(there.bytes).toBe(0);
    // At most the first window of the stream has arrived.
    expect(agent.bufferedBytes).toBeGreaterThanOrEqual(400_000 - LIMITS.initialWindow);
    relay.resume();
    await net.until(() => there.bytes === 400_000, 'the rest');
    relay.pause();
    void send(agent, bytes(1_000, 8));
    agent.end();
    await net.until(() => there.closes.length > 0, 'the end');
    expect(there.bytes).toBe(401_000);
    expect(there.closes).toEqual([undefined]);
  });

  test('asks to hold back above its high water, and drains at half of that', async () => {
    const {net, agent, relay} = await carriers();
    await using _ = net;
    const at = listenTo(agent);
    // Nobody reads at the other end: the window fills up.
    const block = bytes(30_000, 7);
    let go = true;
    for (let i = 0; i < 100 && go; i += 1) go = agent.write(block, 0, block.length);
    await net.rest();
    while (go) go = agent.write(block, 0, block.length);
    await net.rest();
    for (let n = agent.bufferedBytes; n <= 100_000; n = agent.bufferedBytes)
      agent.write(block, 0, block.length);
    expect(agent.bufferedBytes).toBeGreaterThan(100_000);
    const drains = at.drains;
    await net.rest();
    expect(at.drains).toBe(drains);
    const there = listenTo(relay);
    await net.until(() => at.drains > drains && agent.bufferedBytes === 0, 'the drain');
    await net.rest();
    expect(there.bytes % 30_000).toBe(0);
  });

  test('holds blocks that wait by reference: they are given back when the stream has copied them', async () => {
    const {net, agent, relay} = await carriers();
    await using _ = net;
    listenTo(agent);
    for (let left: number = LIMITS.initialWindow; left > 0; left -= 32_768)
      void send(agent, bytes(32_768, 1));
    await net.rest();
    const given: number[] = [];
    for (let i = 0; i < 3; i += 1) void send(agent, bytes(10, i)).then(() => given.push(i));
    await net.rest();
    expect(given.length).toBeLessThan(3);
    const there = listenTo(relay);
    await net.until(() => there.bytes === LIMITS.initialWindow + 30, 'the rest');
    expect(given).toEqual([0, 1, 2]);
  });

  test('ends in order: what was written arrives, then both ends close without an error', async () => {
    const {net, agent, relay, streams} = await carriers();
    await using _ = net;
    const [at, there] = [listenTo(agent), listenTo(relay)];
    const total = LIMITS.initialWindow * 2;
    for (let left = total; left > 0; left -= 32_768) void send(agent, bytes(32_768, 1));
    agent.end();
    agent.end();
    expect(agent.write(bytes(10, 1), 0, 10)).toBe(true);
    await net.until(
      () => at.closes.length + there.closes.length === 2,
      'both ends',
      () => `${there.bytes}`,
    );
    expect(there.bytes).toBe(total);
    expect([at.closes, there.closes]).toEqual([[undefined], [undefined]]);
    expect([streams.agent.state, streams.relay.state]).toEqual(['closed', 'closed']);
  });

  test('that is destroyed resets the stream: the other end sees it once', async () => {
    const {net, agent, relay} = await carriers();
    await using _ = net;
    const [at, there] = [listenTo(agent), listenTo(relay)];
    let given = 0;
    for (let i = 0; i < 20; i += 1) void send(agent, bytes(32_768, 1)).then(() => (given += 1));
    agent.destroy(new Error('cut'));
    agent.destroy();
    agent.end();
    await net.until(() => at.closes.length + there.closes.length === 2, 'both ends');
    expect(at.closes).toEqual([new Error('cut')]);
    expect(there.closes).toMatchObject([{code: 'RELAY_LOST'}]);
    expect(given).toBe(20);
  });

  test('closes when the outer session ends', async () => {
    const {net, agent, relay} = await carriers();
    await using _ = net;
    const [at, there] = [listenTo(agent), listenTo(relay)];
    net.peers.session('relay').close();
    await net.until(() => at.closes.length + there.closes.length === 2, 'both ends');
    expect([at.closes, there.closes]).toMatchObject([[{code: 'RELAY_LOST'}], [{code: 'RELAY_LOST'}]]);
  });

  test('that is refused closes, also before it has a listener', async () => {
    await using net = await Net.linked(MEMORY, {onOpen: (_side, stream) => stream.refuse('KIND_UNKNOWN')});
    const carrier = new StreamCarrier(net.peers.session('agent').open(KIND.carrier, {}) as Stream);
    await net.rest();
    const log = listenTo(carrier);
    expect(await log.closed()).toMatchObject({
      code: 'RELAY_LOST',
      message: expect.stringMatching(/KIND_UNKNOWN/),
    });
  });

  test('gives up in time when the peer does not answer the end', async () => {
    await using net = await Net.linked(MEMORY);
    // The other end is a stream, not a carrier: it never ends its own direction.
    const outgoing = net.peers.session('agent').open(KIND.carrier, {}) as Stream;
    const carrier = new StreamCarrier(outgoing, {clock: net.clock});
    const log = listenTo(carrier);
    (await net.nextOffered('relay')).accept();
    carrier.end();
    await net.rest();
    net.clock.advance(4_900);
    expect(log.closes).toEqual([]);
    net.clock.advance(5_000);
    expect(log.closes).toMatchObject([{code: 'RELAY_LOST', message: 'The peer did not answer the close.'}]);
  });
});
