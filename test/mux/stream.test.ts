import {describe, expect, test} from 'vitest';
import {Link} from '../../src/lib/mux/link.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import {PAYLOAD_AT, type Stream, type StreamSink} from '../../src/lib/mux/stream.js';
import {FRAME, KIND, LIMITS} from '../../src/lib/protocol/wire.js';
import {RawPeer, relink, settle, type Victim, victim} from './raw-peer.js';
import {StuckCarrier} from './stuck-carrier.js';
import {ack, credit, data, fin, open, opened, pong, reset, segment} from './wire-bytes.js';

const MIB = 1024 * 1024;

/** A sink that writes down its events in order. */
class Log implements StreamSink {
  readonly events: string[] = [];
  onData(piece: Buffer): void {
    this.events.push(`data ${piece.length}`);
  }
  onEnd(): void {
    this.events.push('end');
  }
  onWritable(): void {
    this.events.push('writable');
  }
  onOpened(): void {
    this.events.push('opened');
  }
  onReset(code: string): void {
    this.events.push(`reset ${code}`);
  }
  onClosed(): void {
    this.events.push('closed');
  }
}

/** A stream that this side opened and the peer accepted. */
async function outgoing(world: Victim): Promise<{stream: Stream; log: Log}> {
  const stream = world.session.open(KIND.visitor, {}) as Stream;
  const log = new Log();
  stream.sink = log;
  world.peer.frame(opened(stream.id));
  await settle();
  log.events.length = 0;
  return {stream, log};
}

const typesOf = (world: Victim) => world.peer.frames.map((frame) => frame.type);

describe('an end', () => {
  test('needs no window: it follows the last byte that the peer had credit for', async () => {
    const world = victim();
    const {stream} = await outgoing(world);
    expect(stream.write(Buffer.alloc(LIMITS.initialWindow))).toBe(false);
    stream.write(Buffer.alloc(1_000));
    stream.end();
    expect(stream.state).toBe('open');
    await settle();
    expect(typesOf(world)).not.toContain(FRAME.fin);
    world.peer.frame(credit(stream.id, 1_000));
    await settle();
    expect(typesOf(world).at(-1)).toBe(FRAME.fin);
    expect(stream.state).toBe('localEnded');
  });

  test('closes the stream when it is the second, and that is the last event', async () => {
    const world = victim();
    const mine = await outgoing(world);
    mine.stream.end();
    world.peer.frame(data(mine.stream.id, 'x'), fin(mine.stream.id));
    const theirs = await outgoing(world);
    world.peer.frame(fin(theirs.stream.id));
    await settle();
    theirs.stream.end();
    await settle();
    expect(mine.log.events).toEqual(['data 1', 'end', 'closed']);
    expect(theirs.log.events).toEqual(['end', 'closed']);
    expect(world.session.streamCount).toBe(0);
  });

  test('is sent once; nothing can be written after it', async () => {
    const world = victim();
    const {stream} = await outgoing(world);
    stream.end();
    stream.end();
    expect(stream.write(Buffer.from('x'))).toBe(false);
    await settle();
    expect(typesOf(world)).toEqual([FRAME.open, FRAME.fin]);
    expect(stream.bytesOut).toBe(0);
  });
});

describe('a reset', () => {
  test('after data waits for the credit of that data, and the sink is told then', async () => {
    const world = victim();
    const {stream, log} = await outgoing(world);
    stream.write(Buffer.alloc(LIMITS.initialWindow));
    stream.write(Buffer.alloc(1_000));
    stream.resetAfterData('VISITOR_RESET');
    expect(stream.write(Buffer.alloc(1))).toBe(false);
    await settle();
    expect(typesOf(world)).not.toContain(FRAME.reset);
    expect(log.events).toEqual([]);
    world.peer.frame(credit(stream.id, 1_000));
    await settle();
    expect(typesOf(world).slice(-2)).toEqual([FRAME.data, FRAME.reset]);
    expect(log.events).toEqual(['reset VISITOR_RESET']);
    expect(stream.state).toBe('closed');
  });

  test('after an end that waits for credit comes after both', async () => {
    const world = victim();
    const {stream} = await outgoing(world);
    stream.write(Buffer.alloc(LIMITS.initialWindow + 1_000));
    stream.end();
    stream.resetAfterData('VISITOR_RESET');
    world.peer.frame(credit(stream.id, 1_000));
    await settle();
    expect(typesOf(world).slice(-3)).toEqual([FRAME.data, FRAME.fin, FRAME.reset]);
  });

  test('after an end goes behind it, also when the data before it has left', async () => {
    const [mine, theirs] = createPipe();
    const slow = new StuckCarrier(mine, 1_000);
    const world = victim({carriers: [slow, theirs]});
    const {stream} = await outgoing(world);
    const block = world.pool.take();
    stream.writeBlock(block, 100_000);
    stream.end();
    // The data leaves and fills the carrier, and the end waits for the drain.
    await settle();
    stream.resetAfterData('UPSTREAM_RESET');
    await settle();
    slow.release();
    await settle();
    expect(typesOf(world)).toEqual([FRAME.open, FRAME.data, FRAME.fin, FRAME.reset]);
  });

  test('by this side goes to the peer, drops held data, and no more events come', async () => {
    const world = victim();
    const {stream, log} = await outgoing(world);
    stream.write(Buffer.alloc(LIMITS.initialWindow + 1_000));
    await settle();
    stream.reset('CANCELLED');
    stream.reset('CANCELLED');
    expect(stream.heldBytes).toBe(0);
    expect(stream.write(Buffer.from('x'))).toBe(false);
    stream.end();
    stream.consumed(5);
    world.peer.frame(data(stream.id, 'x'), credit(stream.id, 5), fin(stream.id));
    await settle();
    expect(log.events).toEqual([]);
    expect(typesOf(world).filter((type) => type === FRAME.reset)).toHaveLength(1);
    expect(world.ended()).toBeUndefined();
  });

  test('by the peer is the last event', async () => {
    const world = victim();
    const {stream, log} = await outgoing(world);
    world.peer.frame(data(stream.id, 'abc'), reset(stream.id, 'VISITOR_RESET'), data(stream.id, 'x'));
    await settle();
    expect(log.events).toEqual(['data 3', 'reset VISITOR_RESET']);
    stream.reset('CANCELLED');
    await settle();
    expect(typesOf(world)).not.toContain(FRAME.reset);
  });
});

describe('bytes that are read after the end', () => {
  test.each(['one end', 'both ends'])('count as read as before, and give no credit (%s)', async (ends) => {
    const world = victim();
    const {stream} = await outgoing(world);
    if (ends === 'both ends') stream.end();
    world.peer.frame(data(stream.id, 'x'.repeat(200_000)), fin(stream.id));
    await settle();
    expect(stream.unreadBytes).toBe(200_000);
    stream.consumed(150_000);
    expect(stream.unreadBytes).toBe(50_000);
    stream.consumed(60_000);
    expect(stream.unreadBytes).toBe(0);
    await settle();
    expect(typesOf(world)).not.toContain(FRAME.credit);
    expect(stream.receiveWindowBytes).toBe(LIMITS.initialWindow);
  });
});

describe('an offered stream', () => {
  test('accepts data before its answer, and sends none', async () => {
    const world = victim();
    world.peer.frame(open(1), data(1, 'abc'));
    await settle();
    const stream = world.offered[0] as Stream;
    expect(stream.write(Buffer.from('x'))).toBe(false);
    stream.accept();
    stream.accept();
    expect(stream.write(Buffer.from('x'))).toBe(true);
    await settle();
    expect(typesOf(world)).toEqual([FRAME.opened, FRAME.data]);
  });

  test('that is refused after it was accepted is reset', async () => {
    const world = victim();
    world.peer.frame(open(1));
    await settle();
    world.offered[0]?.accept();
    world.offered[0]?.refuse('UPSTREAM_REFUSED');
    world.offered[0]?.refuse('UPSTREAM_REFUSED');
    await settle();
    expect(typesOf(world)).toEqual([FRAME.opened, FRAME.reset]);
  });
});

describe('blocks', () => {
  test('without bytes are given back, and no empty frame is sent', async () => {
    const world = victim();
    const {stream} = await outgoing(world);
    expect(stream.writeBlock(world.pool.take(), 0)).toBe(true);
    await settle();
    expect(typesOf(world)).toEqual([FRAME.open]);
    world.peer.send(ack(world.peer.received));
    await settle();
    expect(world.pool.out).toBe(0);
  });

  test('are given back however the stream ends', async () => {
    const world = victim();
    const {stream} = await outgoing(world);
    const block = () => {
      const taken = world.pool.take();
      taken.buffer.fill('b', PAYLOAD_AT);
      return taken;
    };
    for (let i = 0; i < 5; i += 1) stream.writeBlock(block(), 60_000);
    await settle();
    expect(stream.heldBytes).toBe(300_000 - LIMITS.initialWindow);
    stream.writeBlock(block(), 60_000);
    stream.reset('CANCELLED');
    stream.writeBlock(block(), 60_000);
    await settle();
    world.peer.send(ack(world.peer.received));
    await settle();
    expect(world.pool.out).toBe(0);
  });

  test('and small writes keep their order', async () => {
    const world = victim();
    const {stream} = await outgoing(world);
    let want = '';
    for (let i = 0; i < 20; i += 1) {
      const letter = String.fromCharCode(97 + i);
      const length = i % 3 === 0 ? 9_000 : 10;
      want += letter.repeat(length);
      if (i % 2 === 0) {
        const block = world.pool.take();
        block.buffer.fill(letter, PAYLOAD_AT, PAYLOAD_AT + length);
        stream.writeBlock(block, length);
      } else stream.write(Buffer.alloc(length, letter));
      if (i % 5 === 4) await settle(1);
    }
    await settle();
    expect(Buffer.concat(world.peer.of(FRAME.data).map((frame) => frame.payload)).toString()).toBe(want);
  });
});

describe('this side refuses to send', () => {
  test('an OPEN that is too long', () => {
    const world = victim();
    expect(() => world.session.open(KIND.visitor, {alpn: 'x'.repeat(LIMITS.openBytes)})).toThrow(RangeError);
    expect(world.session.streamCount).toBe(0);
    const length = LIMITS.openBytes - 1 - '{"a":""}'.length;
    expect(world.session.open(KIND.visitor, {a: 'x'.repeat(length)})).toBeDefined();
  });

  test('a control message that is too long', async () => {
    const world = victim();
    expect(() => world.session.sendControl({a: 'x'.repeat(LIMITS.controlBytes)})).toThrow(RangeError);
    world.session.sendControl({a: 'x'.repeat(LIMITS.controlBytes - '{"a":""}'.length)});
    await settle();
    expect(world.peer.of(FRAME.control)).toHaveLength(1);
    expect(world.peer.violation).toBeUndefined();
  });
});

describe('a window', () => {
  /** A peer that lets the session's stream read whole windows, each credited after one round trip. */
  async function readWindows(rttMs: number, rounds: number) {
    const world = victim();
    world.clock.advance(rttMs);
    world.peer.send(Buffer.concat([Buffer.from([4, 0, 0, 8]), Buffer.from([0, 0, 0, 0, 0, 0, 0, 1])]));
    await settle();
    expect(world.link.rttMs).toBe(rttMs);
    world.peer.frame(open(1));
    await settle();
    const stream = world.offered[0] as Stream;
    stream.sink = {
      onData: (piece) => stream.consumed(piece.length),
      onEnd() {},
      onWritable() {},
      onReset() {},
    };
    stream.accept();
    let allowance: number = LIMITS.initialWindow;
    let credited = 0;
    for (let i = 0; i < rounds; i += 1) {
      for (let left = allowance; left > 0; left -= 128 * 1024) {
        world.peer.frame(data(1, Buffer.alloc(Math.min(left, 128 * 1024))));
      }
      await settle(20);
      const credits = world.peer.of(FRAME.credit).map((frame) => frame.payload.readUInt32BE());
      allowance = credits.reduce((sum, each) => sum + each, 0) - credited;
      credited += allowance;
      world.clock.advance(rttMs);
    }
    return {...world, stream, allowance};
  }

  test('grows with a link whose round trip it does not fill, and gives the memory back', async () => {
    const {stream, session, ended} = await readWindows(100, 9);
    expect(stream.receiveWindowBytes).toBe(LIMITS.maxWindow);
    expect(stream.unreadBytes).toBe(0);
    expect(ended()).toBeUndefined();
    session.close();
  });

  test('stays small when the reader is slow', async () => {
    const world = victim();
    world.peer.frame(open(1));
    await settle();
    const stream = world.offered[0] as Stream;
    for (let i = 0; i < 20; i += 1) {
      world.peer.frame(data(1, Buffer.alloc(128 * 1024)));
      await settle();
      world.clock.advance(50);
      stream.consumed(128 * 1024);
    }
    expect(stream.receiveWindowBytes).toBe(LIMITS.initialWindow);
  });
});

describe('a link', () => {
  test('that was closed before it was attached counts as lost', async () => {
    const world = victim();
    const [mine] = createPipe();
    const link = new Link(mine, {clock: world.clock});
    link.start({onSegmentBytes() {}, onAck() {}, onMessage() {}, onDrain() {}, onClose() {}});
    link.destroy();
    await settle();
    expect(link.closed).toBe(true);
    world.session.attach(link, 0);
    expect(world.session.link).toBeUndefined();
    expect(world.detached()).toBe(1);
    world.clock.advance(60_000);
    expect(world.ended()).toMatchObject({code: 'RESUME_EXPIRED'});
  });

  test('that is replaced while it lives is fenced: its later bytes are ignored', async () => {
    const world = victim();
    world.peer.frame(open(1));
    await settle();
    const [mine, theirs] = createPipe();
    world.peer.frame(open(3));
    relink(world.session, world.clock, mine, world.peer.received);
    const next = new RawPeer(theirs);
    await settle();
    expect(world.offered).toHaveLength(1);
    expect(world.peer.closed).toBe(true);
    next.frame(open(3));
    await settle();
    expect(world.offered.map((stream) => stream.id)).toEqual([1, 3]);
    expect(world.detached()).toBe(0);
  });

  test('does not acknowledge bytes that came after a hello on another link, until that handshake has ended', async () => {
    const world = victim();
    world.peer.frame(open(1));
    await settle();
    world.clock.advance(50);
    await settle();
    const acked = world.peer.acks.at(-1) as number;
    expect(world.session.offerResume()).toBe(acked);
    const second = world.session.offerResume();
    world.peer.frame(data(1, Buffer.alloc(100_000)));
    await settle();
    world.clock.advance(1_000);
    await settle();
    expect(world.peer.acks.at(-1)).toBe(acked);
    world.session.settleResume();
    world.clock.advance(1_000);
    await settle();
    expect([world.peer.acks.at(-1), second]).toEqual([acked, acked]);
    world.session.settleResume();
    world.clock.advance(50);
    await settle();
    expect(world.peer.acks.at(-1)).toBe(world.session.receivedBytes);
  });

  test('that repeats bytes which came on the old link after the hello is read from the first new byte', async () => {
    const world = victim();
    const pieces: number[] = [];
    world.peer.frame(open(1));
    await settle();
    const stream = world.offered[0] as Stream;
    stream.sink = {
      onData: (piece) => void pieces.push(piece.length),
      onEnd() {},
      onWritable() {},
      onReset() {},
    };
    const told = world.session.offerResume();
    const [later, more] = [data(1, Buffer.alloc(1_000)), data(1, Buffer.alloc(10))];
    world.peer.frame(later);
    await settle();
    const [mine, theirs] = createPipe();
    relink(world.session, world.clock, mine, world.peer.received, told);
    world.session.settleResume();
    const next = new RawPeer(theirs);
    next.send(
      segment(later.subarray(0, 400)),
      segment(later.subarray(400), more.subarray(0, 5)),
      segment(more.subarray(5)),
    );
    await settle();
    expect(pieces).toEqual([1_000, 10]);
    expect(world.session.receivedBytes).toBe(told + later.length + more.length);
    world.clock.advance(50);
    await settle();
    expect(next.acks).toEqual([world.session.receivedBytes]);
    expect(world.ended()).toBeUndefined();
  });

  test('whose peer asks for bytes that are gone or were never sent ends the session, with the reason', async () => {
    for (const count of [0, 1_000_000]) {
      const world = victim();
      const {stream} = await outgoing(world);
      stream.write(Buffer.alloc(1_000));
      await settle();
      world.peer.send(ack(500));
      await settle();
      const [mine, theirs] = createPipe();
      relink(world.session, world.clock, mine, count);
      const next = new RawPeer(theirs);
      await settle();
      expect(world.ended()).toMatchObject({code: 'SESSION_RANGE'});
      expect(next.farewell).toMatchObject({type: 'close', code: 'SESSION_RANGE'});
      expect([world.pool.out, world.clock.pending]).toEqual([0, 0]);
    }
  });
});

describe('a session that keeps nothing for replay', () => {
  test('gives blocks back as they are written, and ends with its link', async () => {
    const world = victim({keepForReplay: false});
    const {stream, log} = await outgoing(world);
    stream.write(Buffer.alloc(200_000, 7));
    await settle();
    expect([world.pool.out, world.session.queuedBytes]).toEqual([0, 0]);
    expect(
      Buffer.concat(world.peer.of(FRAME.data).map((frame) => frame.payload)).equals(Buffer.alloc(200_000, 7)),
    ).toBe(true);
    world.peer.send(ack(world.peer.received));
    world.peer.frame(credit(stream.id, 1_000));
    await settle();
    expect(world.ended()).toBeUndefined();
    world.carrier.destroy();
    await settle();
    expect(world.ended()).toMatchObject({code: 'RELAY_LOST'});
    expect(log.events.at(-1)).toBe('reset SESSION_ENDED');
  });

  test('behaves the same as one with a resume window of 0', async () => {
    const world = victim({resumeWindowMs: 0});
    world.carrier.destroy();
    await settle();
    expect(world.ended()).toMatchObject({code: 'RELAY_LOST'});
    expect(world.clock.pending).toBe(0);
  });
});

describe('beside a bulk stream on a slow link', () => {
  /** A session whose carrier passes on so many bytes a millisecond. */
  function slowly(bytesPerMs: number) {
    const [mine, theirs] = createPipe();
    const slow = new Faucet(mine);
    const world = victim({carriers: [slow, theirs]});
    const pass = async (ms: number) => {
      for (let i = 0; i < ms; i += 1) {
        slow.pass(bytesPerMs);
        world.clock.advance(1);
        await settle(2);
        world.peer.send(ack(world.peer.received));
      }
    };
    return {...world, slow, pass};
  }

  async function bulk(world: Victim): Promise<Stream> {
    const {stream} = await outgoing(world);
    world.peer.frame(credit(stream.id, 2 ** 30));
    const pump = () => {
      while (stream.write(Buffer.alloc(64 * 1024)));
    };
    stream.sink = {onData() {}, onEnd() {}, onWritable: pump, onReset() {}};
    await settle();
    pump();
    return stream;
  }

  const received = (world: Victim, id: number) =>
    world.peer
      .of(FRAME.data)
      .filter((frame) => frame.streamId === id)
      .reduce((sum, frame) => sum + frame.payload.length, 0);

  test('a small message goes before all waiting bytes', async () => {
    const world = slowly(1_000);
    const big = await bulk(world);
    await world.pass(100);
    const {stream} = await outgoing(world);
    const before = received(world, big.id);
    stream.write(Buffer.from('hello'));
    let ms = 0;
    for (; received(world, stream.id) === 0 && ms < 2_000; ms += 1) await world.pass(1);
    // Only the bytes that the carrier holds are before it; a queue of 256 KiB would double that.
    expect(received(world, big.id) - before).toBeLessThan(400 * 1024);
    expect(received(world, big.id)).toBeGreaterThan(before);
  });

  test('small messages do not wait for bytes that the link itself would take', async () => {
    // Takes everything at once, like kernels with large buffers; only acks show what has arrived.
    const world = victim();
    world.peer.send(pong(1));
    const big = await bulk(world);
    const {stream} = await outgoing(world);
    let arrived = 0;
    const pass = async (ms: number) => {
      for (let i = 0; i < ms; i += 1) {
        world.clock.advance(1);
        arrived = Math.min(world.peer.received, arrived + 10_000);
        world.peer.send(ack(arrived));
        await settle(2);
      }
    };
    await pass(100);
    expect(world.session.unackedBytes).toBeGreaterThan(8 * MIB);
    stream.write(Buffer.from('hello'));
    for (let i = 0; i < 20; i += 1) {
      await pass(100);
      stream.write(Buffer.from('again'));
    }
    expect(world.session.unackedBytes).toBeLessThan(768 * 1024);
    // The link stays busy, and bulk alone uses all of it.
    expect(world.session.unackedBytes).toBeGreaterThan(256 * 1024);
    await pass(400);
    expect(world.session.unackedBytes).toBeGreaterThan(8 * MIB);
    expect(received(world, big.id)).toBeGreaterThan(8 * MIB);
  });

  test('streams that continuously send a little do not starve it', async () => {
    const world = slowly(1_000);
    const chatty = await Promise.all(Array.from({length: 20}, () => outgoing(world)));
    const writable = new Set(chatty.map(({stream}) => stream));
    for (const {stream} of chatty) {
      world.peer.frame(credit(stream.id, 2 ** 30));
      stream.sink = {onData() {}, onEnd() {}, onWritable: () => void writable.add(stream), onReset() {}};
    }
    const big = await bulk(world);
    for (let i = 0; i < 4_000; i += 1) {
      // Each of them would send 800 KB a second; the link takes 1 MB of all together.
      if (i % 20 === 0)
        for (const stream of [...writable]) if (!stream.write(Buffer.alloc(16_000))) writable.delete(stream);
      await world.pass(1);
    }
    const share = received(world, big.id) / world.peer.received;
    expect(share).toBeGreaterThan(0.1);
    // The chatty streams get equal shares.
    const shares = chatty.map(({stream}) => received(world, stream.id));
    expect(Math.min(...shares)).toBeGreaterThan(Math.max(...shares) / 3);
    expect(world.session.queuedBytes).toBeLessThan(4 * MIB);
  });
});

/** A carrier that passes on only as many bytes as the test says, by reference until then. */
class Faucet extends StuckCarrier {
  readonly #inner: ConstructorParameters<typeof StuckCarrier>[0];
  #queue: {block: Buffer; at: number; end: number; onWritten: (() => void) | undefined}[] = [];
  #bytes = 0;
  #drainAt: number | undefined;
  #onDrain = () => {};

  constructor(inner: ConstructorParameters<typeof StuckCarrier>[0]) {
    super(inner);
    this.#inner = inner;
  }

  override get bufferedBytes(): number {
    return this.#bytes;
  }

  override start(sink: Parameters<StuckCarrier['start']>[0]): void {
    this.#onDrain = () => sink.onDrain();
    super.start(sink);
  }

  override write(block: Buffer, at: number, end: number, onWritten?: () => void): boolean {
    this.#queue.push({block, at, end, onWritten});
    this.#bytes += end - at;
    if (this.#bytes <= 256 * 1024) return true;
    this.#drainAt = this.#bytes / 2;
    return false;
  }

  pass(bytes: number): void {
    let left = bytes;
    for (let first = this.#queue[0]; first !== undefined && left > 0; first = this.#queue[0]) {
      const upTo = Math.min(first.end, first.at + left);
      this.#inner.write(first.block, first.at, upTo);
      this.#bytes -= upTo - first.at;
      left -= upTo - first.at;
      first.at = upTo;
      if (upTo < first.end) break;
      this.#queue.shift();
      first.onWritten?.();
    }
    if (this.#drainAt === undefined || this.#bytes > this.#drainAt) return;
    this.#drainAt = undefined;
    this.#onDrain();
  }
}
