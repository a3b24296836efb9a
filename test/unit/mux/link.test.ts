import {describe, expect, test} from 'vitest';
import type {TunlError} from '../../../src/lib/core/errors.js';
import {growWithinMs, Link, type LinkSink} from '../../../src/lib/mux/link.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import type {LinkMessage} from '../../../src/lib/protocol/link-messages.js';
import {LIMITS} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {collector} from '../../helpers/minor-collection.js';
import {RawPeer, settle} from '../../mux/raw-peer.js';
import {createSlowPipe} from '../../mux/slow-pipe.js';
import {StuckCarrier} from '../../mux/stuck-carrier.js';
import {ack, message, ping, pong, record, segment} from '../../mux/wire-bytes.js';

/**
 * A link and the bytes at its other end; `settle` lets everything under way arrive. `measured`: its first pings were
 * answered.
 */
async function linked({stuck = false, measured = false, highWaterBytes = 256 * 1024} = {}) {
  const clock = new ManualClock();
  const [mine, theirs] = createPipe();
  const slow = new StuckCarrier(mine, highWaterBytes);
  const link = new Link(stuck ? slow : mine, {clock});
  const closes: (Error | undefined)[] = [];
  const messages: LinkMessage[] = [];
  const acks: number[] = [];
  let bytes = 0;
  let drains = 0;
  const sink: LinkSink = {
    onSegmentBytes: (piece) => {
      bytes += piece.length;
    },
    onAck: (count) => acks.push(count),
    onMessage: (each) => messages.push(each),
    onDrain: () => {
      drains += 1;
    },
    onClose: (error) => closes.push(error),
  };
  link.start(sink);
  const peer = new RawPeer(theirs);
  await settle();
  for (let i = 1; measured && i <= 3; i += 1) {
    peer.send(pong(i));
    await settle();
  }
  const pass = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  return {clock, link, peer, slow, closes, messages, acks, pass, bytes: () => bytes, drains: () => drains};
}

test('what comes for a link that ended while its reading was held is not kept', async () => {
  const {link, bytes} = await linked();
  const collect = collector();
  link.holdReading();
  link.onData(segment(Buffer.alloc(100)));
  link.end();
  collect();
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 64; n += 1) link.onData(Buffer.alloc(2 ** 20));
  collect();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  link.readOn();
  expect(bytes()).toBe(0);
});

describe('silence', () => {
  test('of five seconds causes a ping, of fifteen the end', async () => {
    const {link, peer, closes, pass, clock} = await linked();
    // The first ping of a link measures its round trip.
    expect(peer.pings).toBe(1);
    await pass(4_999);
    expect(peer.pings).toBe(1);
    await pass(1);
    expect(peer.pings).toBe(2);
    await pass(5_000);
    expect(peer.pings).toBe(3);
    await pass(4_999);
    expect(closes).toEqual([]);
    await pass(1);
    expect(closes).toMatchObject([{code: 'RELAY_LOST', message: 'no sign of the peer for 15.0 s'}]);
    expect([link.closed, peer.closed, clock.pending]).toEqual([true, true, 0]);
  });

  test('counts from the last byte of any kind, whenever the timer runs', async () => {
    const {peer, closes, pass} = await linked();
    await pass(1_000);
    peer.send(ack(0));
    await settle();
    await pass(4_999);
    expect(peer.pings).toBe(1);
    await pass(1);
    expect(peer.pings).toBe(2);
    peer.send(Buffer.from([0x01]));
    await settle();
    await pass(14_999);
    expect(closes).toEqual([]);
    await pass(1);
    expect(closes).toHaveLength(1);
  });

  test('does not exist while bytes come: there is no ping', async () => {
    const {peer, closes, pass} = await linked();
    for (let i = 0; i < 30; i += 1) {
      await pass(2_000);
      peer.send(pong(99));
      await settle();
    }
    expect([peer.pings, closes.length]).toEqual([1, 0]);
  });

  test('that pongs interrupt goes on for ever', async () => {
    const {peer, closes, pass} = await linked({measured: true});
    for (let i = 0; i < 10; i += 1) {
      await pass(5_000);
      peer.send(pong(peer.pings));
      await settle();
    }
    expect([peer.pings, closes.length]).toEqual([13, 0]);
  });
});

describe('a process that was stopped', () => {
  test('pings again before it gives up the peer, and the link lives when something comes', async () => {
    const {clock, peer, closes, pass} = await linked({measured: true});
    clock.jump(60_000);
    await settle();
    expect([peer.pings, closes.length]).toEqual([4, 0]);
    await pass(1_999);
    peer.send(pong(4));
    await settle();
    await pass(1);
    await pass(2_999);
    expect([peer.pings, closes.length]).toEqual([4, 0]);
  });

  test('gives up two seconds later when nothing comes', async () => {
    const {clock, closes, pass} = await linked();
    clock.jump(60_000);
    await pass(1_999);
    expect(closes).toEqual([]);
    await pass(1);
    expect(closes).toMatchObject([{code: 'RELAY_LOST'}]);
  });

  test('is not assumed when a timer is a little late', async () => {
    const {clock, closes} = await linked();
    clock.advance(14_000);
    clock.jump(2_500);
    await settle();
    expect(closes).toMatchObject([{code: 'RELAY_LOST'}]);
  });
});

describe('a probe', () => {
  test('ends a link that does not answer in time', async () => {
    const {link, peer, closes, pass} = await linked();
    await pass(1_000);
    link.probe(3_000);
    await settle();
    expect(peer.pings).toBe(2);
    await pass(2_999);
    expect(closes).toEqual([]);
    await pass(1);
    expect(closes).toMatchObject([{code: 'RELAY_LOST'}]);
  });

  test('changes nothing on a link that answers', async () => {
    const {link, peer, closes, pass, clock} = await linked({measured: true});
    await pass(1_000);
    link.probe(3_000);
    await pass(500);
    peer.send(pong(4));
    await settle();
    await pass(4_999);
    expect([peer.pings, closes.length]).toEqual([4, 0]);
    await pass(1);
    expect(peer.pings).toBe(5);
    link.destroy();
    link.probe(1);
    expect(clock.pending).toBe(0);
  });
});

describe('the round trip', () => {
  test('is the shortest measured one, by the current ping alone', async () => {
    const {link, peer, pass} = await linked();
    expect(link.rttMs).toBe(Number.POSITIVE_INFINITY);
    expect(growWithinMs(link)).toBe(2);
    await pass(80);
    peer.send(pong(7));
    await settle();
    expect(link.rttMs).toBe(Number.POSITIVE_INFINITY);
    peer.send(pong(1), pong(1));
    await settle();
    expect([link.rttMs, growWithinMs(link)]).toEqual([80, 320]);
    // The first ping ran through cold code: two more follow at once, and no fourth.
    await pass(30);
    peer.send(pong(2));
    await settle();
    expect(link.rttMs).toBe(30);
    await pass(90);
    peer.send(pong(3));
    await settle();
    expect([link.rttMs, link.lastRttMs, peer.pings]).toEqual([30, 90, 3]);
    await pass(5_000);
    expect(peer.pings).toBe(4);
    expect(growWithinMs(undefined)).toBe(2);
  });
});

describe('input of a link', () => {
  test('reaches its sink: session bytes, acks, messages; pings are answered with the same bytes', async () => {
    const {peer, acks, messages, bytes} = await linked();
    const goaway = {type: 'goaway', message: 'x', afterMs: 5, relays: []};
    peer.send(segment(Buffer.alloc(10)), ack(2 ** 40), message(goaway), ping(77));
    await settle();
    expect([bytes(), acks, messages, peer.pongs]).toEqual([10, [2 ** 40], [goaway], 1]);
  });

  test('ends it with PROTOCOL when it is invalid, and the peer gets the reason', async () => {
    const {link, peer, closes} = await linked();
    peer.send(record(0x55, 'x'), ack(1));
    await settle();
    expect(closes).toMatchObject([{code: 'PROTOCOL', message: 'record type 85 does not exist'}]);
    expect(peer.farewell).toMatchObject({type: 'close', code: 'PROTOCOL'});
    expect([link.closed, peer.closed]).toEqual([true, true]);
  });
});

describe('an end', () => {
  test('with a reason is sent once, cut to the peer’s limit', async () => {
    const {link, peer, closes, clock} = await linked();
    link.endWith('TAKEN_OVER', 'x'.repeat(10_000));
    link.endWith('CLOSED', 'again');
    link.end();
    await settle();
    expect(peer.messages).toEqual([{type: 'close', code: 'TAKEN_OVER', message: 'x'.repeat(500)}]);
    expect([closes, clock.pending]).toEqual([[undefined], 0]);
  });

  test('leaves no timer in any case', async () => {
    for (const end of ['end', 'destroy'] as const) {
      const {link, closes, clock} = await linked();
      link[end]();
      await settle();
      expect([closes, clock.pending]).toEqual([[undefined], 0]);
    }
    const {peer: _, link, closes, clock} = await linked();
    link.destroy(new Error('cut'));
    await settle();
    expect([(closes[0] as TunlError).message, clock.pending]).toEqual(['cut', 0]);
  });
});

describe('on a full carrier', () => {
  test('the last ack and the last pong are kept, and go out with the drain', async () => {
    const {link, slow, peer, drains} = await linked({stuck: true});
    const bulk = Buffer.alloc(LIMITS.segmentBytes + 100);
    for (let i = 0; i < 5; i += 1) link.sendSegment(bulk, 100, bulk.length, undefined, () => {});
    const full = slow.bufferedBytes;
    for (let n = 1; n <= 100; n += 1) {
      link.sendAck(1_000 * n);
      peer.send(ping(n));
    }
    await settle();
    expect(slow.bufferedBytes).toBe(full);
    slow.release();
    await settle();
    expect([peer.acks, peer.pongs]).toEqual([[100_000], 1]);
    expect(drains()).toBeGreaterThanOrEqual(1);
  });

  test('an ack that went out with session bytes meanwhile is not repeated', async () => {
    const {link, slow, peer} = await linked({stuck: true});
    const bulk = Buffer.alloc(LIMITS.segmentBytes + 100);
    for (let i = 0; i < 5; i += 1) link.sendSegment(bulk, 100, bulk.length, undefined, () => {});
    link.sendAck(1_000);
    link.sendSegment(Buffer.from(bulk), 100, bulk.length, 2_000, () => {});
    slow.release();
    await settle();
    expect(peer.acks).toEqual([2_000]);
  });

  test('a newer ack that went out before the drain is not followed by the older one', async () => {
    const pipe = createSlowPipe();
    const link = new Link(pipe.agent, {clock: new ManualClock()});
    const peer = new RawPeer(pipe.relay);
    link.start({onSegmentBytes() {}, onAck() {}, onMessage() {}, onDrain() {}, onClose() {}});
    const bulk = Buffer.alloc(LIMITS.segmentBytes + 100);
    for (let i = 0; i < 5; i += 1) link.sendSegment(bulk, 100, bulk.length, undefined, () => {});
    link.sendAck(1_000);
    // There is room below a mebibyte; the drain comes at half of all.
    pipe.agent.take(300_000);
    link.sendAck(2_000);
    while (pipe.agent.busy) {
      pipe.agent.take(300_000);
      pipe.agent.deliver(300_000);
    }
    expect(peer.acks).toEqual([2_000]);
    link.destroy();
  });

  test('nothing is held back before the carrier asks for it, because no drain would follow', async () => {
    const {link, slow, peer} = await linked({stuck: true, highWaterBytes: 16 * 1024 * 1024});
    const bulk = Buffer.alloc(LIMITS.segmentBytes + 100);
    for (let i = 0; i < 5; i += 1) link.sendSegment(bulk, 100, bulk.length, undefined, () => {});
    const full = slow.bufferedBytes;
    link.sendAck(1_000);
    peer.send(ping(1));
    await settle();
    expect(slow.bufferedBytes).toBe(full + 24);
  });

  test('the reason of the session’s end is sent nevertheless', async () => {
    const {link, slow, peer} = await linked({stuck: true});
    const bulk = Buffer.alloc(LIMITS.segmentBytes + 100);
    for (let i = 0; i < 5; i += 1) link.sendSegment(bulk, 100, bulk.length, undefined, () => {});
    link.sendMessage({type: 'close', code: 'TAKEN_OVER', message: ''});
    slow.release();
    await settle();
    expect(peer.farewell).toMatchObject({code: 'TAKEN_OVER'});
  });
});
