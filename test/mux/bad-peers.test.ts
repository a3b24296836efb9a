import {describe, expect, test} from 'vitest';
import {BLOCK_BYTES} from '../../src/lib/mux/blocks.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import {REPLAY_SHARE, ReplayBudget} from '../../src/lib/mux/replay-budget.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {FRAME, KIND, LIMITS, RECORD, type ViolationCode} from '../../src/lib/protocol/wire.js';
import {CountingPool} from './counting-pool.js';
import {MEMORY} from './fabrics.js';
import {Net} from './net.js';
import type {Tuning} from './peers.js';
import {type RawPeer, relink, settle, until, type Victim, victim} from './raw-peer.js';
import {StuckCarrier} from './stuck-carrier.js';
import {
  ack,
  control,
  count,
  credit,
  data,
  fin,
  frame,
  message,
  open,
  opened,
  ping,
  pong,
  record,
  refused,
  reset,
  segment,
} from './wire-bytes.js';

const MIB = 1024 * 1024;

/** The peer is the relay: it opens odd streams. This side has opened stream 2. */
type Attack = (peer: RawPeer, world: Victim) => void;

const VIOLATIONS: readonly (readonly [what: string, reason: RegExp, attack: Attack])[] = [
  ['a record type that does not exist', /record type 0 /, (peer) => peer.send(record(0, 'x'))],
  ['a frame type as a record', /record type 19 /, (peer) => peer.send(record(FRAME.data, 'x'))],
  ['an empty segment', /type 1 cannot have 0 bytes/, (peer) => peer.send(record(RECORD.segment))],
  [
    'an oversized segment',
    /cannot have 262145 bytes/,
    (peer) => peer.send(record(RECORD.segment, '', LIMITS.segmentBytes + 1)),
  ],
  ['an ack of four bytes', /type 2 cannot have 4 bytes/, (peer) => peer.send(record(RECORD.ack, 'abcd'))],
  ['an ack of bytes that were not sent', /ack of 1000000 bytes/, (peer) => peer.send(ack(1_000_000))],
  [
    'an ack that is too large for a count',
    /more bytes than can be counted/,
    (peer) => peer.send(ack(2n ** 60n)),
  ],
  ['an ack that goes back', /ack of 3 bytes/, (peer) => peer.send(ack(10), ack(3))],
  ['a message that is not JSON', /malformed link message/, (peer) => peer.send(record(RECORD.message, '{'))],
  ['a message of an unknown type', /malformed link message/, (peer) => peer.send(message({type: 'bind'}))],
  [
    'a challenge inside a session',
    /challenge message inside/,
    (peer) => peer.send(message({type: 'challenge', protocol: 1, software: 'x', nonce: 'a'.repeat(32)})),
  ],
  [
    'a hello inside a session',
    /hello message inside/,
    (peer) => peer.send(message({type: 'hello', software: 'x', nonce: 'a'.repeat(32)})),
  ],
  [
    'a refusal inside a session',
    /refused message inside/,
    (peer) => peer.send(message({type: 'refused', code: 'RELAY_BUSY', message: 'x'})),
  ],
  ['a frame type that does not exist', /frame type 9 /, (peer) => peer.frame(frame(9, 1, 'x'))],
  ['a record type as a frame', /frame type 1 /, (peer) => peer.frame(frame(RECORD.segment, 1, 'x'))],
  ['data on stream 0', /cannot be on stream 0/, (peer) => peer.frame(data(0, 'x'))],
  [
    'a control message on a stream',
    /cannot be on stream 1/,
    (peer) => peer.frame(frame(FRAME.control, 1, '{}')),
  ],
  [
    'an oversized frame',
    /cannot have 262145 bytes/,
    (peer) => peer.frame(frame(FRAME.data, 1, '', LIMITS.dataBytes + 1)),
  ],
  [
    'an oversized control message',
    /cannot have 65537 bytes/,
    (peer) => peer.frame(frame(FRAME.control, 0, '', 65_537)),
  ],
  ['empty data', /type 19 cannot have 0 bytes/, (peer) => peer.frame(open(1), data(1, ''))],
  ['an open without a kind', /type 16 cannot have 0 bytes/, (peer) => peer.frame(frame(FRAME.open, 1))],
  ['an open with an id of this side', /not the peer’s to open/, (peer) => peer.frame(open(4))],
  ['an open with a used id', /not the peer’s to open/, (peer) => peer.frame(open(1), open(1))],
  ['an open with a skipped id', /not the peer’s to open/, (peer) => peer.frame(open(5), open(3))],
  [
    'an open with the id of a closed stream',
    /not the peer’s to open/,
    (peer) => peer.frame(open(1), reset(1), open(1)),
  ],
  ['data on a stream that was never opened', /data on stream 1, /, (peer) => peer.frame(data(1, 'x'))],
  ['data on a stream that we never opened', /data on stream 4, /, (peer) => peer.frame(data(4, 'x'))],
  ['an end of a stream that was never opened', /stream 1 was never opened/, (peer) => peer.frame(fin(1))],
  [
    'credit for a stream that was never opened',
    /stream 9 was never opened/,
    (peer) => peer.frame(credit(9, 1)),
  ],
  ['a reset of a stream that was never opened', /stream 9 was never opened/, (peer) => peer.frame(reset(9))],
  ['data before the answer', /in state opening/, (peer) => peer.frame(data(2, 'x'))],
  ['an end before the answer', /in state opening/, (peer) => peer.frame(fin(2))],
  ['a second answer', /type 17 on stream 2 in state open/, (peer) => peer.frame(opened(2), opened(2))],
  [
    'a refusal after the answer',
    /type 18 on stream 2 in state open/,
    (peer) => peer.frame(opened(2), refused(2)),
  ],
  [
    'an answer to its own open',
    /type 17 on stream 1 in state offered/,
    (peer) => peer.frame(open(1), opened(1)),
  ],
  [
    'a refusal of its own open',
    /type 18 on stream 1 in state offered/,
    (peer) => peer.frame(open(1), refused(1)),
  ],
  [
    'data after its end',
    /on stream 1 in state offeredRemoteEnded/,
    (peer) => peer.frame(open(1), fin(1), data(1, 'x')),
  ],
  [
    'a second end',
    /type 20 on stream 1 in state offeredRemoteEnded/,
    (peer) => peer.frame(open(1), fin(1), fin(1)),
  ],
  [
    'data beyond the window',
    / bytes on stream /,
    (peer) => {
      const half = Buffer.alloc(LIMITS.initialWindow / 2);
      peer.frame(open(1), data(1, half));
      peer.frame(data(1, half));
      peer.frame(data(1, 'x'));
    },
  ],
  [
    'one frame beyond the window',
    / bytes on stream /,
    (peer) => {
      peer.frame(opened(2), data(2, 'x'));
      peer.frame(frame(FRAME.data, 2, '', LIMITS.dataBytes));
    },
  ],
  ['credit of nothing', /type 22 on stream 2 in state opening/, (peer) => peer.frame(credit(2, 0))],
  ['more credit than the maximum', /type 22 on stream 2/, (peer) => peer.frame(credit(2, LIMITS.maxCredit))],
  [
    'credit that adds up to more than the maximum',
    /type 22 on stream 2/,
    (peer) => {
      const half = 2 ** 30 - LIMITS.initialWindow;
      peer.frame(credit(2, half), credit(2, 2 ** 30 - 1), credit(2, 1));
    },
  ],
  ['credit with the top bit set', /type 22 on stream 2/, (peer) => peer.frame(credit(2, 0xffff_ffff))],
];

/** The code for the text of the reason; the default is PROTOCOL. */
const CODES: readonly (readonly [reason: RegExp, code: ViolationCode])[] = [
  [/^an ack of /, 'ACK_RANGE'],
  [/not the peer’s to open/, 'STREAM_REUSED'],
  [/never opened/, 'STREAM_UNKNOWN'],
  [/^a frame of type 22 /, 'CREDIT_RANGE'],
  [/^\d+ bytes on stream \d+ in state (open|offered)$/, 'WINDOW_EXCEEDED'],
  [/ in state /, 'STREAM_STATE'],
];

describe('a peer that breaks the protocol: its session ends with the right code, and the peer gets the reason', () => {
  test.each(VIOLATIONS)('%s', async (_what, reason, attack) => {
    // Another session that shares the pool, as all sessions of a relay do.
    await using bystander = await Net.linked(MEMORY);
    const [writer, reader] = await bystander.pair('relay');
    const world = victim();
    const mine = world.session.open(KIND.visitor, {}) as Stream;
    const resets: string[] = [];
    mine.sink = {onData() {}, onEnd() {}, onWritable() {}, onReset: (code) => resets.push(code)};
    await settle();
    attack(world.peer, world);
    await settle();
    expect(world.ended()).toMatchObject({message: expect.stringMatching(reason)});
    const said = world.ended()?.message ?? '';
    const code = CODES.find(([part]) => part.test(said))?.[1] ?? 'PROTOCOL';
    expect(world.ended()).toMatchObject({code});
    expect(world.peer.farewell).toMatchObject({type: 'close', code, message: expect.stringMatching(reason)});
    expect(world.peer.closed).toBe(true);
    expect(world.peer.violation).toBeUndefined();
    expect(resets).toHaveLength(1);
    expect(world.session.link).toBeUndefined();
    expect([world.session.streamCount, world.session.queuedBytes, world.pool.out]).toEqual([0, 0, 0]);
    // The session and its link have left no timer.
    expect(world.clock.pending).toBe(0);
    // Later bytes are ignored.
    world.peer.frame(open(1), data(1, 'x'));
    await settle();
    writer.write(100_000);
    await bystander.until(
      () => reader.received === 100_000,
      'the bystander',
      () => reader.describe(),
    );
    expect(bystander.peers.ends).toEqual({});
  });
});

describe('frames that cross on the way are not a violation', () => {
  const late: readonly Uint8Array[] = [data(2, 'xyz'), credit(2, 5), opened(2), fin(2), reset(2), refused(2)];

  test('frames for a stream that we have reset', async () => {
    const world = victim();
    const mine = world.session.open(KIND.visitor, {}) as Stream;
    mine.reset('CANCELLED');
    for (const each of late) world.peer.frame(each);
    world.peer.frame(open(1));
    await settle();
    expect(world.ended()).toBeUndefined();
    expect(world.offered).toHaveLength(1);
  });

  test('the rest of a data frame whose stream we reset in its middle', async () => {
    const world = victim({
      onOpen: (stream) => {
        stream.sink = {onData: () => stream.reset('CANCELLED'), onEnd() {}, onWritable() {}, onReset() {}};
      },
    });
    const whole = Buffer.concat([open(1), data(1, Buffer.alloc(1_000)), open(3)]);
    world.peer.send(
      segment(whole.subarray(0, 100)),
      segment(whole.subarray(100, 500)),
      segment(whole.subarray(500)),
    );
    await settle();
    expect(world.ended()).toBeUndefined();
    expect(world.offered.map((stream) => stream.id)).toEqual([1, 3]);
  });

  test('a stream of an unknown kind is refused, and the session goes on', async () => {
    const world = victim();
    world.peer.frame(open(1, {}, 200), data(1, 'abc'), fin(1), open(3));
    await settle();
    expect(world.peer.of(FRAME.refused)).toMatchObject([
      {streamId: 1, payload: Buffer.from('{"code":"KIND_UNKNOWN"}')},
    ]);
    expect(world.offered.map((stream) => stream.id)).toEqual([3]);
    expect(world.ended()).toBeUndefined();
  });

  test('codes that this build does not know count as CANCELLED', async () => {
    const world = victim();
    const codes: string[] = [];
    for (const payload of [
      '{"code":"FROM_THE_FUTURE"}',
      '{',
      '[]',
      '',
      'null',
      '{"code":1}',
      '{"code":"VISITOR_RESET"}',
    ]) {
      const mine = world.session.open(KIND.visitor, {}) as Stream;
      mine.sink = {onData() {}, onEnd() {}, onWritable() {}, onReset: (code) => codes.push(code)};
      world.peer.frame(frame(FRAME.reset, mine.id, payload));
    }
    await settle();
    expect(codes).toEqual([...Array(6).fill('CANCELLED'), 'VISITOR_RESET']);
    expect(world.ended()).toBeUndefined();
  });

  test('a close of the peer ends the session with its code; an orderly close is no error', async () => {
    for (const [code, want] of [
      ['CLOSED', null],
      ['TAKEN_OVER', {code: 'TAKEN_OVER', message: 'why'}],
      ['PROTOCOL', {code: 'PROTOCOL', message: 'why'}],
      ['SESSION_RANGE', {code: 'SESSION_RANGE', message: 'why'}],
      ['FROM_THE_FUTURE', {code: 'RELAY_LOST', message: 'why'}],
    ] as const) {
      const world = victim();
      world.peer.send(message({type: 'close', code, message: 'why'}), segment(open(1)));
      await settle();
      if (want === null) expect(world.ended()).toBeNull();
      else expect(world.ended()).toMatchObject(want);
      expect(world.offered).toEqual([]);
      expect(world.peer.closed).toBe(true);
    }
  });
});

describe('floods', () => {
  /** Sends in portions, as fast as they are processed. */
  async function flood(
    peer: RawPeer,
    portion: Uint8Array,
    times: number,
    each: () => void = () => {},
  ): Promise<void> {
    for (let i = 0; i < times; i += 1) {
      peer.send(portion);
      await settle(2);
      each();
    }
  }

  test('of opens: beyond the limit each is refused once', async () => {
    const world = victim({maxStreams: 100});
    for (let i = 0; i < 50; i += 1) {
      world.peer.frame(...Array.from({length: 200}, (_, n) => open(1 + 2 * (i * 200 + n))));
      await settle(2);
      world.peer.send(ack(world.peer.received));
    }
    await until(() => world.peer.of(FRAME.refused).length >= 50 * 200 - 100);
    expect(world.session.streamCount).toBe(100);
    expect(world.offered).toHaveLength(100);
    expect(world.peer.of(FRAME.refused)).toHaveLength(50 * 200 - 100);
    expect(world.ended()).toBeUndefined();
    await settle();
    world.peer.send(ack(world.peer.received));
    await settle();
    expect([world.session.queuedBytes, world.pool.out]).toEqual([0, 0]);
  });

  test('of opens and resets: the streams are gone, and with them everything that they held', async () => {
    const world = victim();
    for (let i = 0; i < 200; i += 1) {
      const ids = Array.from({length: 50}, (_, n) => 1 + 2 * (i * 50 + n));
      world.peer.frame(...ids.flatMap((id) => [open(id), data(id, 'x'.repeat(100)), reset(id)]));
      await settle(2);
    }
    await until(() => world.offered.length === 10_000);
    await settle();
    expect([world.session.streamCount, world.session.queuedBytes, world.pool.out]).toEqual([0, 0, 0]);
    expect(world.ended()).toBeUndefined();
  });

  test('of opens by a peer that never reads the answers: their cost is their length', async () => {
    const [mine, theirs] = createPipe();
    // Nothing that this side writes ever leaves.
    const world = victim({maxStreams: 1, carriers: [new StuckCarrier(mine), theirs]});
    for (let i = 0; i < 100; i += 1) {
      world.peer.frame(...Array.from({length: 400}, (_, n) => open(1 + 2 * (i * 400 + n))));
      await settle(2);
    }
    const answers = 39_999 * refused(1, 'TOO_MANY_STREAMS').length;
    await until(() => world.session.queuedBytes >= answers);
    expect(world.ended()).toBeUndefined();
    expect(world.session.queuedBytes).toBeLessThan(answers + 1_000);
    expect(world.pool.out * BLOCK_BYTES).toBeLessThan(2 * answers);
  });

  test('of opens without end by a peer that never reads the answers: the session stops reading, and ends after 20 s', async () => {
    const [mine, theirs] = createPipe();
    const world = victim({maxStreams: 1, carriers: [new StuckCarrier(mine), theirs]});
    const answer = refused(1, 'TOO_MANY_STREAMS').length;
    let id = 1;
    let most = 0;
    const flood = async (answers: number) => {
      for (let sent = 0; sent < answers && world.ended() === undefined; sent += 4_000) {
        world.peer.frame(
          ...Array.from({length: 4_000}, () => {
            id += 2;
            return open(id);
          }),
        );
        await settle(1);
        most = Math.max(most, world.session.queuedBytes);
      }
    };
    await flood((48 * MIB) / answer);
    const waits = () => {
      most = Math.max(most, world.session.queuedBytes);
      return most > 32 * MIB;
    };
    await until(waits);
    for (let turns = 0; turns < 2_000; turns += 1) {
      await settle(1);
      waits();
    }
    expect(most).toBeLessThan(37 * MIB);
    expect(world.ended()).toBeUndefined();
    world.clock.advance(20_000);
    await settle();
    expect(world.ended()).toMatchObject({code: 'PEER_NOT_READING', message: expect.stringMatching(/unread/)});
    expect([world.session.queuedBytes, world.session.streamCount]).toEqual([0, 0]);
  }, 60_000);

  test('of opens by a peer that reads the answers late: nothing is lost, and the session goes on', async () => {
    const [mine, theirs] = createPipe();
    const slow = new StuckCarrier(mine);
    const world = victim({maxStreams: 1, carriers: [slow, theirs]});
    const count = Math.ceil((36 * MIB) / refused(1, 'TOO_MANY_STREAMS').length);
    for (let from = 0; from < count; from += 4_000) {
      const ids = Array.from({length: Math.min(4_000, count - from)}, (_, n) => 1 + 2 * (from + n));
      world.peer.frame(...ids.map((each) => open(each)));
      await settle(1);
    }
    await until(() => world.session.queuedBytes > 32 * MIB);
    const heldBack = world.session.receivedBytes;
    slow.release();
    await until(() => {
      world.peer.send(ack(world.peer.received));
      return world.peer.frames.length >= count - 1;
    });
    await settle();
    expect(world.session.receivedBytes).toBeGreaterThan(heldBack);
    expect(world.ended()).toBeUndefined();
    expect(world.peer.frames.filter(({type}) => type === FRAME.refused)).toHaveLength(count - 1);
  }, 60_000);

  test('of visitors, while the link is slow: bytes that wait for an honest peer do not count against it', async () => {
    const [mine, theirs] = createPipe();
    const world = victim({carriers: [new StuckCarrier(mine), theirs]});
    const page = Buffer.alloc(16 * 1024, 1);
    // 4,000 small answers at once, from sources that do not wait for permission: 64 MiB.
    for (let i = 0; i < 4_000; i += 1) world.session.open(KIND.visitor, {i})?.write(page);
    await settle();
    world.clock.advance(10_000);
    await settle();
    expect(world.ended()).toBeUndefined();
  });

  test('of single bytes beside the data of others: unread bytes keep one chunk for each stream, not one for each byte', async () => {
    const kept = new Map<Stream, Buffer[]>();
    const world = victim({
      onOpen: (stream) => {
        stream.accept();
        const pieces: Buffer[] = [];
        const reads = stream.id === 1;
        if (!reads) kept.set(stream, pieces);
        stream.sink = {
          onData: (piece) => (reads ? stream.consumed(piece.length) : void pieces.push(piece)),
          onEnd: () => {},
          onWritable: () => {},
          onReset: () => {},
        };
      },
    });
    const idle = Array.from({length: 50}, (_, i) => 3 + 2 * i);
    world.peer.frame(open(1), ...idle.map((id) => open(id)));
    const filler = Buffer.alloc(16_000);
    for (let turns = 0; turns < 60; turns += 1) {
      // Each byte comes in a separate chunk, like TLS records.
      for (const id of idle) world.peer.frame(data(id, 'x'), data(1, filler));
      await settle(2);
    }
    const chunks = new Set([...kept.values()].flat().map(({buffer}) => buffer));
    expect([...kept.values()].flat().reduce((sum, {length}) => sum + length, 0)).toBe(50 * 60);
    const bytes = [...chunks].reduce((sum, {byteLength}) => sum + byteLength, 0);
    // Chunks of this test come from Node’s pool of 64 KiB.
    expect(bytes).toBeLessThan(50 * 65_536 + 50 * 60);
  });

  test('of pings: each is answered while the peer reads', async () => {
    const world = victim();
    await flood(world.peer, Buffer.concat(Array.from({length: 1_000}, (_, n) => ping(n))), 20);
    await until(() => world.peer.pongs >= 20_000, world.clock);
    expect(world.peer.pongs).toBe(20_000);
    expect(world.ended()).toBeUndefined();
  });

  test('of pings by a peer that does not read: a bounded number of answers waits, and the last ping is answered', async () => {
    const [mine, theirs] = createPipe();
    const slow = new StuckCarrier(mine);
    const world = victim({carriers: [slow, theirs]});
    await flood(world.peer, Buffer.concat(Array.from({length: 5_000}, (_, n) => ping(n))), 40);
    let most = 0;
    const measured = () => {
      most = Math.max(most, slow.bufferedBytes);
      return world.clock.now() > 2_000;
    };
    await until(measured, world.clock);
    expect(most).toBeLessThan(1.1 * MIB);
    slow.release();
    await until(() => world.peer.pongs > 1_000, world.clock);
    expect(world.ended()).toBeUndefined();
  });

  test('of pongs, acks of the same count, goaways and empty frames of streams that are gone: nothing happens', async () => {
    const world = victim();
    world.peer.frame(open(1), reset(1));
    const goaway = message({type: 'goaway', message: '', afterMs: 1, relays: []});
    const portion = [pong(7), ack(0), goaway, segment(fin(1), opened(1), refused(1, ''), reset(1))];
    await flood(world.peer, Buffer.concat(Array.from({length: 500}, () => Buffer.concat(portion))), 20);
    expect(world.ended()).toBeUndefined();
    expect([world.session.queuedBytes, world.pool.out]).toEqual([0, 0]);
  });

  test('of control messages: each is passed on', async () => {
    const world = victim();
    await flood(world.peer, segment(...Array.from({length: 500}, () => control({n: 1}))), 10);
    await until(() => world.controls.length >= 5_000, world.clock);
    expect(world.controls).toHaveLength(5_000);
    expect(world.ended()).toBeUndefined();
  });

  test('of credit, byte by byte: held data goes out at a cost proportional to its size', async () => {
    const world = victim();
    const mine = world.session.open(KIND.visitor, {}) as Stream;
    world.peer.frame(opened(mine.id));
    await settle();
    mine.write(Buffer.alloc(LIMITS.initialWindow));
    mine.write(Buffer.alloc(100_000, 1));
    await settle();
    const before = process.memoryUsage().arrayBuffers;
    const copied = Buffer.from;
    let copies = 0;
    Buffer.from = ((...args: Parameters<typeof Buffer.from>) => {
      if (args[0] instanceof Uint8Array) copies += args[0].length;
      return copied(...args);
    }) as typeof Buffer.from;
    try {
      for (let i = 0; i < 20; i += 1) {
        world.peer.frame(...Array.from({length: 100}, () => credit(mine.id, 1)));
        await settle(2);
        world.peer.send(ack(world.peer.received));
      }
    } finally {
      Buffer.from = copied;
    }
    await settle();
    expect(mine.heldBytes).toBe(98_000);
    // The test's own pipe copies the frames themselves.
    expect(copies).toBeLessThan(2 * MIB);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * MIB);
  });
});

describe('a peer that never acknowledges', () => {
  /** A session with an eager writer towards a peer that reads but does not acknowledge. */
  async function unacknowledged(tuning: Tuning) {
    const world = victim(tuning);
    const mine = world.session.open(KIND.visitor, {}) as Stream;
    let written = 0;
    const pump = () => {
      do written += 16_384;
      while (mine.write(Buffer.alloc(16_384)));
    };
    mine.sink = {onData() {}, onEnd() {}, onWritable: pump, onReset() {}};
    world.peer.frame(opened(mine.id), credit(mine.id, 2 ** 30));
    await settle();
    pump();
    await settle(200);
    return {...world, mine, written: () => written};
  }

  test('gets no more than the replay bound, and the session ends in time', async () => {
    const world = await unacknowledged({replayBytes: MIB});
    expect(world.session.unackedBytes).toBeGreaterThanOrEqual(MIB);
    expect(world.session.queuedBytes).toBeLessThan(2 * MIB);
    expect(world.written()).toBeLessThan(2 * MIB);
    for (let i = 0; i < 19; i += 1) {
      world.clock.advance(1_000);
      world.peer.send(pong());
      await settle(2);
    }
    expect(world.ended()).toBeUndefined();
    world.clock.advance(1_000);
    await settle();
    expect(world.ended()).toMatchObject({code: 'ACK_OVERDUE', message: expect.stringMatching(/acknowledge/)});
    expect([world.session.queuedBytes, world.pool.out]).toEqual([0, 0]);
  });

  test('gets a share when other sessions have used up the shared budget, and continues with it', async () => {
    const replayBudget = new ReplayBudget(8 * MIB);
    replayBudget.change(8 * MIB);
    const world = await unacknowledged({replayBudget});
    const {session, peer} = world;
    expect(session.unackedBytes).toBeGreaterThanOrEqual(REPLAY_SHARE);
    expect(session.unackedBytes).toBeLessThan(2 * REPLAY_SHARE);
    for (let i = 0; i < 20; i += 1) {
      const before = peer.received;
      peer.send(ack(before));
      await settle(20);
      expect(peer.received).toBeGreaterThan(before);
      expect(session.unackedBytes).toBeLessThan(2 * REPLAY_SHARE);
    }
    // The other sessions release their part: the next ack finds room.
    replayBudget.change(-8 * MIB);
    peer.send(ack(peer.received));
    await settle(200);
    expect(session.unackedBytes).toBeGreaterThan(4 * MIB);
    expect(replayBudget.usedBytes).toBe(session.queuedBytes);
    session.close();
    expect(replayBudget.usedBytes).toBe(0);
  });

  test('gains nothing by repeating an old ack', async () => {
    const world = await unacknowledged({replayBytes: MIB});
    world.peer.send(ack(1_000));
    await settle();
    for (let i = 0; i < 21; i += 1) {
      world.clock.advance(1_000);
      world.peer.send(ack(1_000));
      await settle(2);
    }
    expect(world.ended()).toMatchObject({code: 'ACK_OVERDUE', message: expect.stringMatching(/acknowledge/)});
  });

  test('that starts to acknowledge again continues', async () => {
    const world = await unacknowledged({replayBytes: MIB});
    for (let i = 0; i < 40; i += 1) {
      world.peer.send(ack(world.peer.received));
      await settle(4);
      world.clock.advance(1_000);
    }
    expect(world.ended()).toBeUndefined();
    expect(world.written()).toBeGreaterThan(10 * MIB);
  });

  test('is not blamed when this process was stopped meanwhile', async () => {
    const world = await unacknowledged({replayBytes: MIB});
    // SIGSTOP for a minute: every timer is late, and the peer's bytes of that minute are not read yet.
    world.clock.jump(60_000);
    world.peer.send(ack(world.peer.received));
    await settle();
    expect(world.ended()).toBeUndefined();
    expect(world.detached()).toBe(0);
  });

  test('gets a new time limit with a new link', async () => {
    const world = await unacknowledged({replayBytes: MIB});
    for (let i = 0; i < 19; i += 1) {
      world.clock.advance(1_000);
      world.peer.send(pong());
      await settle(2);
    }
    const [mine] = createPipe();
    relink(world.session, world.clock, mine, 0);
    world.clock.advance(1_500);
    await settle();
    expect(world.ended()).toBeUndefined();
  });
});

describe('a peer that never reads', () => {
  test('costs as much as one carrier holds, and every stream is asked to stop', async () => {
    const [mine, theirs] = createPipe();
    const slow = new StuckCarrier(mine);
    const world = victim({carriers: [slow, theirs]});
    let written = 0;
    for (let i = 0; i < 100; i += 1) {
      const stream = world.session.open(KIND.visitor, {}) as Stream;
      world.peer.frame(opened(stream.id), credit(stream.id, 2 ** 30));
      await settle(1);
      do written += 16_384;
      while (stream.write(Buffer.alloc(16_384)));
    }
    await settle();
    expect(world.ended()).toBeUndefined();
    expect(written).toBeLessThan(6 * MIB);
    expect(world.session.queuedBytes + slow.bufferedBytes).toBeLessThan(8 * MIB);
  });
});

describe('a stream whose owner does not read', () => {
  /** A session with a visitor who does not read, and the memory that is kept for the visitor. */
  function unread() {
    const kept: Buffer[] = [];
    const world = victim({
      onOpen: (stream) => {
        stream.sink = {onData: (piece) => void kept.push(piece), onEnd() {}, onWritable() {}, onReset() {}};
      },
    });
    return {...world, kept, bytes: () => kept.reduce((sum, piece) => sum + piece.length, 0)};
  }

  test('pins no more memory than a few windows, however small the pieces of its data are', async () => {
    const world = unread();
    world.peer.frame(open(1), open(3), reset(3));
    // Each chunk of 16 KB has one byte for the stream. The rest is for a stream that is gone.
    const chunk = segment(data(1, 'x'), data(3, Buffer.alloc(16_000)));
    for (let i = 0; i < 3_000; i += 1) {
      world.peer.send(chunk);
      if (i % 10 === 9) await settle(1);
    }
    await settle();
    // The last chunks wait until the visitor reads something.
    expect(world.bytes()).toBeGreaterThan(1_000);
    world.offered[0]?.consumed(1_000);
    expect(world.bytes()).toBe(3_000);
    let pinned = 0;
    for (const buffer of new Set(world.kept.map((piece) => piece.buffer))) pinned += buffer.byteLength;
    expect(pinned).toBeLessThan(3 * MIB);
  });

  test('costs a bounded number of pieces', async () => {
    const world = unread();
    world.peer.frame(open(1));
    const crumbs = segment(...Array.from({length: 1_000}, () => data(1, 'x')));
    for (let i = 0; i < 200; i += 1) {
      world.peer.send(crumbs);
      await settle(1);
    }
    await until(() => world.bytes() > 180_000);
    expect(world.kept.length).toBeLessThan(1_200);
    world.peer.frame(fin(1));
    await until(() => world.bytes() === 200_000);
  });
});

test('an owner who reads everything gets everything, however small the segments of one frame are', async () => {
  let got = 0;
  const world = victim({
    onOpen: (stream) => {
      const onData = ({length}: Buffer) => {
        got += length;
        stream.consumed(length);
      };
      stream.sink = {onData, onEnd() {}, onWritable() {}, onReset() {}};
    },
  });
  world.peer.frame(open(1));
  const frame = data(1, Buffer.alloc(20_000));
  const segments = Array.from({length: Math.ceil(frame.length / 10)}, (_, at) =>
    segment(frame.subarray(at * 10, at * 10 + 10)),
  );
  world.peer.send(...segments);
  await until(() => got === 20_000);
});

describe('a sink that throws', () => {
  test('ends its own session, because its bytes are no longer reliable, and no other', async () => {
    const world = victim({
      onOpen: () => {
        throw new TypeError('a bug');
      },
    });
    world.peer.frame(open(1), open(3));
    await settle();
    expect(world.ended()).toMatchObject({code: 'UNEXPECTED', message: 'a bug'});
    expect(world.pool.out).toBe(0);
  });
});

test('the constants in this file are those of the wire', () => {
  expect(count(1)).toHaveLength(8);
  expect([FRAME.opened, FRAME.refused, FRAME.fin, FRAME.credit]).toEqual([17, 18, 20, 22]);
  expect(new CountingPool().out).toBe(0);
});
