// The work for one peer in a turn: readers stop when it is used up and continue from the same byte, links take turns.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import type {Clock} from '../../../src/lib/core/clock.js';
import {FrameReader} from '../../../src/lib/mux/frame-reader.js';
import {Link, type LinkSink, NOBODY} from '../../../src/lib/mux/link.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import {RecordReader} from '../../../src/lib/mux/record-reader.js';
import {Turns, Work, type WorkLeft} from '../../../src/lib/mux/work.js';
import {RECORD} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {RawPeer, settle} from '../../mux/raw-peer.js';
import {
  ack,
  control,
  credit,
  data,
  fin,
  message,
  open,
  ping,
  record,
  reset,
  segment,
} from '../../mux/wire-bytes.js';

/** The events for records with frames, with so many units before each attempt. */
function hear(bytes: Buffer, lefts: readonly number[]): string[] {
  const heard: string[] = [];
  const frames = new FrameReader({
    onDataStart: (stream, length) => {
      heard.push(`data ${stream} ${length} `);
      return true;
    },
    onData: (piece) => {
      heard[heard.length - 1] += piece.toString('latin1');
    },
    onFrame: (type, stream, payload) => heard.push(`frame ${type} ${stream} ${payload.toString('latin1')}`),
    onViolation: (reason) => heard.push(reason),
  });
  let taken = 0;
  const records = new RecordReader({
    onSegmentBytes(piece, work) {
      const read = frames.push(piece, work);
      taken += read;
      work.unread = piece.length - read;
    },
    onRecord: (type, payload) => heard.push(`record ${type} ${payload.toString('latin1')}`),
    onViolation: (reason) => heard.push(reason),
  });
  let rest = bytes;
  for (let turn = 0; rest.length > 0; turn += 1) {
    const work: WorkLeft = {left: lefts[turn % lefts.length] ?? 1, rare: 0, unread: 0};
    rest = rest.subarray(records.push(rest, work));
    expect(work.unread).toBe(0);
  }
  heard.push(`${taken} session bytes`);
  return heard;
}

const frame = fc.oneof(
  fc.tuple(fc.nat(3), fc.string({minLength: 1, maxLength: 50})).map(([id, text]) => data(1 + id, text)),
  fc.nat(3).map((id) => fin(1 + id)),
  fc.nat(3).map((id) => credit(1 + id, 5)),
  fc.nat(3).map((id) => open(1 + id)),
  fc.constant(control({type: 'bind'})),
);

test('readers that stop without units report the same as others, and lose no byte', () => {
  // Frames do not end at the ends of segments.
  const cut = fc.tuple(fc.array(frame, {maxLength: 12}), fc.integer({min: 1, max: 40})).map(([all, size]) => {
    const bytes = Buffer.concat(all);
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      parts.push(record(RECORD.segment, bytes.subarray(at, at + size)), ping(at));
    }
    return Buffer.concat(parts);
  });
  fc.assert(
    fc.property(
      cut,
      fc.array(fc.integer({min: 1, max: 90}), {minLength: 1, maxLength: 8}),
      (bytes, lefts) => {
        expect(hear(bytes, lefts)).toEqual(hear(bytes, [Number.POSITIVE_INFINITY]));
      },
    ),
  );
});

/** A clock whose turns and timers run on request. */
class SteppedClock extends ManualClock implements Clock {
  #soon: (() => void)[] = [];

  override soon(fn: () => void): void {
    this.#soon.push(fn);
  }

  turn(): void {
    for (const fn of this.#soon.splice(0)) fn();
  }
}

/** Links of one process, each with a raw peer that can flood it. */
function process(count: number) {
  const clock = new SteppedClock();
  const turns = new Turns(clock);
  return {
    clock,
    links: Array.from({length: count}, () => {
      const [mine, theirs] = createPipe();
      const said: string[] = [];
      const link = new Link(mine, {clock, turns});
      const sink: LinkSink = {
        onSegmentBytes: () => {},
        onAck: () => said.push('ack'),
        onMessage: ({type}) => said.push(type),
        onDrain: () => {},
        onClose: () => said.push('closed'),
      };
      link.start(sink);
      const peer = new RawPeer(theirs);
      return {link, peer, said, mine, theirs};
    }),
  };
}

describe('a flood', () => {
  const pings = (count: number) => Buffer.concat(Array.from({length: count}, (_, i) => ping(i)));

  test('is processed in portions, with pauses between them, and the peer has to wait meanwhile', async () => {
    const {clock, links} = process(1);
    const [{peer, theirs} = expect.unreachable()] = links;
    await settle();
    for (let i = 0; i < 5; i += 1) peer.send(pings(1_000));
    await settle();
    const atOnce = peer.pongs;
    expect(atOnce).toBeGreaterThan(0);
    expect(atOnce).toBeLessThanOrEqual(64);
    // The peer still has everything but the first chunk.
    expect(theirs.bufferedBytes).toBeGreaterThan(4 * pings(1_000).length - 1);
    clock.turn();
    await settle();
    expect(peer.pongs).toBe(atOnce);
    clock.advance(2);
    clock.turn();
    await settle();
    expect(peer.pongs).toBeGreaterThan(atOnce);
    expect(peer.pongs).toBeLessThanOrEqual(2 * atOnce);
    for (let i = 0; i < 200; i += 1) {
      clock.advance(2);
      clock.turn();
      await settle(2);
    }
    expect(peer.pongs).toBe(5_000);
    expect(theirs.bufferedBytes).toBe(0);
  });

  test('of many links costs a turn no more than that of one, and does not delay a quiet link', async () => {
    const {clock, links} = process(6);
    const [quiet, ...loud] = links;
    await settle();
    const acks = Buffer.concat(Array.from({length: 20_000}, (_, i) => ack(i)));
    for (const {peer} of loud) peer.send(acks);
    await settle();
    const heard = () => loud.reduce((sum, {said}) => sum + said.length, 0);
    for (let i = 0; i < 10; i += 1) {
      const before = heard();
      clock.turn();
      expect(heard() - before).toBeLessThanOrEqual(128);
      quiet?.peer.send(ping(i));
      await settle();
      expect(quiet?.peer.pongs).toBe(i + 1);
    }
    // Each of them gets its turns.
    expect(loud.every(({said}) => said.length > 128)).toBe(true);
  });

  test('of rare input on many links gets one turn in three milliseconds, after a burst', async () => {
    const {clock, links} = process(20);
    await settle();
    for (const {peer} of links) peer.send(pings(2_000));
    await settle();
    const answered = () => links.reduce((sum, {peer}) => sum + peer.pongs, 0);
    const pass = async (ms: number) => {
      const before = answered();
      for (let i = 0; i < ms; i += 1) {
        clock.advance(1);
        clock.turn();
        await settle(2);
      }
      return answered() - before;
    };
    // 64 pings are a turn.
    expect(await pass(60)).toBeLessThanOrEqual(64 * 40);
    expect(await pass(300)).toBeLessThanOrEqual(64 * 101);
    await pass(2_000);
    expect(answered()).toBe(40_000);
  });

  test.each(['an orderly end', 'a break'])(
    'before %s: the last bytes are read, and the end comes after them',
    async (how) => {
      const {clock, links} = process(1);
      const [{peer, theirs, said, link} = expect.unreachable()] = links;
      await settle();
      peer.send(Buffer.concat([pings(300), message({type: 'close', code: 'CLOSED', message: ''})]));
      await settle();
      if (how === 'a break') theirs.destroy();
      else theirs.end();
      await settle();
      expect(said).toEqual([]);
      expect(link.closed).toBe(false);
      for (let i = 0; i < 10; i += 1) {
        clock.advance(2);
        clock.turn();
        await settle();
      }
      expect(said).toEqual(['close', 'closed']);
      await link.gone();
    },
  );

  test('on a link that is given up: nothing more is read from it', async () => {
    const {clock, links} = process(1);
    const [{peer, said, link} = expect.unreachable()] = links;
    await settle();
    peer.send(Buffer.concat([pings(300), message({type: 'close', code: 'CLOSED', message: ''})]));
    await settle();
    link.destroy();
    await settle();
    for (let i = 0; i < 10; i += 1) {
      clock.advance(2);
      clock.turn();
    }
    expect(said).toEqual(['closed']);
  });
});

test('frames that visitors cause are not slowed by pauses: data, resets, ends and new acks continue in the next turn', async () => {
  const {clock, links} = process(1);
  const [{peer, said} = expect.unreachable()] = links;
  await settle();
  const busy = Array.from({length: 100}, () =>
    record(RECORD.segment, Buffer.concat([data(1, 'x'), reset(1)])),
  );
  peer.send(Buffer.concat([...busy, ...Array.from({length: 900}, (_, i) => ack(i))]));
  await settle();
  for (let i = 0; i < 8; i += 1) clock.turn();
  expect(said.length).toBe(900);
});

test('a frame that comes byte by byte is passed on in portions, like as many frames', () => {
  const clock = new SteppedClock();
  const [mine] = createPipe();
  const link = new Link(mine, {clock});
  let pieces = 0;
  const frames = new FrameReader({
    onDataStart: () => true,
    onData: () => {
      pieces += 1;
    },
    onFrame: () => {},
    onViolation: () => {},
  });
  link.start({
    ...NOBODY,
    onSegmentBytes(piece, work) {
      work.unread = piece.length - frames.push(piece, work);
    },
  });
  for (const byte of segment(data(1, Buffer.alloc(5_000)))) link.onData(Buffer.of(byte));
  expect(pieces).toBeGreaterThan(50);
  expect(pieces).toBeLessThanOrEqual(128);
  for (let turns = 0; turns < 100; turns += 1) {
    const before = pieces;
    clock.turn();
    expect(pieces - before).toBeLessThanOrEqual(128);
  }
  expect(pieces).toBe(5_000);
});

test('acks of nothing new are slowed by pauses', async () => {
  const {clock, links} = process(1);
  const [{peer, said} = expect.unreachable()] = links;
  await settle();
  peer.send(Buffer.concat(Array.from({length: 900}, () => ack(5))));
  await settle();
  for (let i = 0; i < 20; i += 1) clock.turn();
  expect(said.length).toBe(128);
  clock.advance(2);
  clock.turn();
  expect(said.length).toBe(256);
});

test('a link that uses a part of its units in each turn has all of them at the start of the next', () => {
  const clock = new SteppedClock();
  const work = new Work(new Turns(clock), () => {});
  const atBegin: number[] = [];
  for (let turn = 0; turn < 10; turn += 1) {
    atBegin.push(work.left);
    // Chunks of a few visitors each.
    for (const units of [100, 80, 60]) {
      work.left -= units;
      work.settle();
    }
    clock.turn();
  }
  expect(atBegin).toEqual(atBegin.map(() => 512));
});

test('rare input in small amounts in each turn is slowed like a flood', () => {
  const clock = new SteppedClock();
  const work = new Work(new Turns(clock), () => {});
  const spend = () => {
    work.left -= 64;
    work.rare += 64;
    work.settle();
    clock.turn();
  };
  for (let turn = 0; turn < 3; turn += 1) spend();
  expect(work.left).toBe(512);
  spend();
  expect(work.left).toBe(448);
  clock.advance(2);
  clock.turn();
  expect([work.left, work.rare]).toEqual([512, 0]);
});

test('messages that come over many links at the same moment are read a few in each turn, and bytes of visitors at once', async () => {
  const {clock, links} = process(10);
  await settle();
  // All have had new work before.
  for (const {peer} of links) peer.send(ping(1), ping(2), ping(3), ping(4));
  await settle();
  for (let turn = 0; turn < 10; turn += 1) clock.turn();
  for (const {peer} of links) peer.send(message({type: 'close', code: 'CLOSED', message: ''}));
  await settle();
  const read = () => links.filter(({said}) => said.includes('close')).length;
  expect(read()).toBe(4);
  // Others' input does not wait behind them.
  const [, , , , {peer: other, said} = expect.unreachable()] = links;
  const [{peer, said: heard} = expect.unreachable()] = links;
  expect([said, heard]).toEqual([[], ['close']]);
  peer.send(ack(5));
  await settle();
  expect(heard).toEqual(['close', 'ack']);
  other.send(ack(5));
  const counts: number[] = [];
  for (let turn = 0; turn < 10; turn += 1) {
    clock.turn();
    await settle();
    counts.push(read());
  }
  // The links that have read theirs have asked for new work first.
  expect(counts).toEqual([4, 4, 4, 4, 5, 6, 7, 8, 9, 10]);
  expect(said).toEqual(['close', 'ack']);
});

test('a link whose message waits has its turn, however many messages come over others', async () => {
  const {clock, links} = process(6);
  await settle();
  const close = message({type: 'close', code: 'CLOSED', message: ''});
  const [{said} = expect.unreachable(), ...others] = [...links].reverse();
  for (const {peer} of links) peer.send(close);
  await settle();
  expect(said).toEqual([]);
  for (let turn = 0; turn < 6 && said.length === 0; turn += 1) {
    clock.turn();
    for (const {peer} of others) peer.send(close);
    await settle();
  }
  expect(said).toEqual(['close']);
});
