import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {BLOCK_BYTES} from '../../../src/lib/mux/blocks.js';
import {HEADER_ROOM} from '../../../src/lib/mux/lane.js';
import {type LaneName, Outbox} from '../../../src/lib/mux/outbox.js';
import {CountingPool} from '../../mux/counting-pool.js';

/** A carrier that reads blocks late: until it has `taken` them it keeps them by reference, like a socket. */
class LateCarrier {
  #queue: {buffer: Buffer; start: number; end: number; written: () => void}[] = [];
  readonly #peer: Buffer[];

  constructor(peer: Buffer[]) {
    this.#peer = peer;
  }

  send = (buffer: Buffer, start: number, end: number, written: () => void): boolean => {
    // The headers of the record layer and of the carrier.
    buffer.fill(0xaa, start - HEADER_ROOM, start);
    this.#queue.push({buffer, start, end, written});
    return true;
  };

  /** The next blocks reach the peer, except `cut` bytes of the last one. */
  take(blocks: number, cut = 0): void {
    for (const [i, {buffer, start, end, written}] of this.#queue.splice(0, blocks).entries()) {
      const upTo = i === blocks - 1 ? Math.max(start, end - cut) : end;
      this.#peer.push(Buffer.from(buffer.subarray(start, upTo)));
      written();
    }
  }

  get waiting(): number {
    return this.#queue.length;
  }

  die(): void {
    for (const {written} of this.#queue.splice(0)) written();
  }
}

/** An outbox, its input in order, and a peer that keeps what it receives. */
class World {
  readonly pool = new CountingPool(4);
  readonly outbox = new Outbox(this.pool);
  readonly #kept: Buffer[] = [];
  readonly carriers: LateCarrier[] = [];
  carrier = this.#newCarrier();
  sealed = Buffer.alloc(0);
  readonly #lanes: Record<LaneName, Buffer> = {urgent: Buffer.alloc(0), bulk: Buffer.alloc(0)};
  #count = 0;

  #newCarrier(): LateCarrier {
    const carrier = new LateCarrier(this.#kept);
    this.carriers.push(carrier);
    return carrier;
  }

  get received(): Buffer {
    return Buffer.concat(this.#kept);
  }

  /** Bytes that differ from frame to frame and from place to place. */
  #bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i += 1) bytes[i] = (this.#count * 37 + i * 11 + (i >> 8)) & 0xff;
    this.#count += 1;
    return bytes;
  }

  claim(lane: LaneName, most: number, least: number): void {
    const place = this.outbox.claim(lane, most, least);
    expect(place.length).toBeGreaterThanOrEqual(Math.min(least, most));
    expect(place.length).toBeLessThanOrEqual(most);
    expect(place.at).toBeGreaterThanOrEqual(HEADER_ROOM);
    expect(place.at + place.length).toBeLessThanOrEqual(BLOCK_BYTES);
    const bytes = this.#bytes(place.length);
    bytes.copy(place.buffer, place.at);
    this.#lanes[lane] = Buffer.concat([this.#lanes[lane], bytes]);
  }

  adopt(length: number): void {
    const block = this.pool.take();
    const bytes = this.#bytes(length);
    bytes.copy(block.buffer, HEADER_ROOM);
    this.outbox.adopt(block, HEADER_ROOM + length);
    this.#lanes.bulk = Buffer.concat([this.#lanes.bulk, bytes]);
  }

  #seal(lane: LaneName, act: () => void): void {
    const before = this.outbox.sealedBytes;
    act();
    const bytes = this.outbox.sealedBytes - before;
    this.sealed = Buffer.concat([this.sealed, this.#lanes[lane].subarray(0, bytes)]);
    this.#lanes[lane] = this.#lanes[lane].subarray(bytes);
  }

  sealUrgent(): void {
    this.#seal('urgent', () => this.outbox.sealUrgent());
    expect(this.outbox.urgentBytes).toBe(0);
  }

  sealBulk(): void {
    const waiting = this.#lanes.bulk.length;
    let sealed = false;
    this.#seal('bulk', () => {
      sealed = this.outbox.sealBulk();
    });
    expect(sealed).toBe(waiting > 0);
  }

  send(): boolean {
    const {unsent} = this.outbox;
    const answer = this.outbox.sendNext(this.carrier.send);
    expect(answer).toBe(unsent ? true : undefined);
    return unsent;
  }

  ack(share: number): void {
    const {ackedBytes} = this.outbox;
    const count = ackedBytes + Math.floor(share * (this.received.length - ackedBytes));
    expect(this.outbox.acknowledge(count)).toBe(true);
    expect(this.outbox.ackedBytes).toBe(count);
  }

  /** The carrier breaks somewhere in the bytes under way; the next one continues at the peer's position. */
  cut(blocks: number, bytes: number): void {
    this.carrier.take(Math.min(blocks, this.carrier.waiting), bytes);
    const old = this.carrier;
    this.carrier = this.#newCarrier();
    expect(this.outbox.rewind(this.received.length)).toBe(true);
    old.die();
  }

  check(): void {
    expect(this.outbox.waitingBytes).toBe(this.#lanes.urgent.length + this.#lanes.bulk.length);
    expect(this.outbox.urgentBytes).toBe(this.#lanes.urgent.length);
    expect(this.outbox.sealedBytes).toBe(this.sealed.length);
    expect(this.outbox.unackedBytes).toBe(this.sealed.length - this.outbox.ackedBytes);
    expect(this.received.equals(this.sealed.subarray(0, this.received.length))).toBe(true);
  }

  finish(): void {
    this.sealUrgent();
    while (this.outbox.waitingBytes > 0) this.sealBulk();
    while (this.send());
    this.carrier.take(this.carrier.waiting);
    this.check();
    expect(this.received.length).toBe(this.sealed.length);
    expect(this.outbox.acknowledge(this.sealed.length)).toBe(true);
    expect(this.outbox.unackedBytes).toBe(0);
  }
}

const share = fc.double({min: 0, max: 1, noNaN: true});
const size = fc.oneof(
  fc.integer({min: 1, max: 200}),
  fc.integer({min: 1, max: BLOCK_BYTES - HEADER_ROOM}),
  fc.integer({min: BLOCK_BYTES - HEADER_ROOM - 20, max: BLOCK_BYTES - HEADER_ROOM}),
);
const laneName = fc.constantFrom<LaneName>('urgent', 'bulk');

type Step = (world: World) => void;
const step = (name: string, act: Step): Step => Object.assign(act, {[fc.toStringMethod]: () => name});

const steps = fc.array(
  fc.oneof(
    fc
      .tuple(laneName, size, fc.boolean())
      .map(([lane, most, whole]) =>
        step(`claim(${lane}, ${most}, ${whole})`, (world) =>
          world.claim(lane, most, whole ? most : Math.min(11, most)),
        ),
      ),
    size.map((length) => step(`adopt(${length})`, (world) => world.adopt(length))),
    fc.constant(step('sealUrgent', (world) => world.sealUrgent())),
    fc.constant(step('sealBulk', (world) => world.sealBulk())),
    fc.integer({min: 1, max: 3}).map((n) =>
      step(`send(${n})`, (world) => {
        for (let i = 0; i < n; i += 1) world.send();
      }),
    ),
    fc.integer({min: 1, max: 5}).map((n) => step(`take(${n})`, (world) => world.carrier.take(n))),
    share.map((part) => step(`ack(${part})`, (world) => world.ack(part))),
    fc
      .tuple(fc.integer({min: 0, max: 3}), fc.integer({min: 0, max: 300}))
      .map(([blocks, bytes]) => step(`cut(${blocks}, ${bytes})`, (world) => world.cut(blocks, bytes))),
  ),
  {maxLength: 60},
);

describe('an outbox', () => {
  test('delivers exactly the sealed bytes, over any number of carriers, and returns every block', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const world = new World();
        for (const act of all) {
          act(world);
          world.check();
        }
        world.finish();
        expect(world.pool.out).toBe(0);
      }),
      {numRuns: 300},
    );
  });

  test('returns every block when it is cleared in the middle, except those that a carrier still reads', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const world = new World();
        for (const act of all) act(world);
        world.outbox.clear();
        expect(world.outbox.waitingBytes).toBe(0);
        expect(world.outbox.unackedBytes).toBe(0);
        expect(world.outbox.unsent).toBe(false);
        world.carrier.take(world.carrier.waiting);
        expect(world.received.equals(world.sealed.subarray(0, world.received.length))).toBe(true);
        expect(world.pool.out).toBe(0);
      }),
      {numRuns: 200},
    );
  });

  test('an ack that comes before the carrier has released the block frees nothing yet', () => {
    const world = new World();
    world.claim('urgent', 1000, 1000);
    world.sealUrgent();
    world.send();
    // A peer may guess the bytes that it will get.
    expect(world.outbox.acknowledge(1000)).toBe(true);
    expect(world.pool.out).toBe(1);
    world.carrier.take(1);
    world.check();
    expect(world.pool.out).toBe(0);
  });

  function sent(bytes: number): World {
    const world = new World();
    world.claim('urgent', bytes, bytes);
    world.sealUrgent();
    world.send();
    world.carrier.take(1);
    return world;
  }

  test('refuses an ack of more than was sent and one that goes back, and stays unchanged', () => {
    const world = sent(1000);
    world.claim('urgent', 500, 500);
    world.sealUrgent();
    expect(world.outbox.acknowledge(1001)).toBe(false);
    expect(world.outbox.acknowledge(600)).toBe(true);
    expect(world.outbox.acknowledge(599)).toBe(false);
    expect(world.outbox.acknowledge(600)).toBe(true);
    expect(world.outbox.ackedBytes).toBe(600);
    world.finish();
  });

  test('refuses to go back behind an ack or beyond the sent bytes, and stays unchanged', () => {
    const world = sent(1000);
    expect(world.outbox.acknowledge(400)).toBe(true);
    world.claim('urgent', 500, 500);
    world.sealUrgent();
    expect(world.outbox.rewind(399)).toBe(false);
    expect(world.outbox.rewind(1001)).toBe(false);
    world.finish();
  });

  test('accepts only acks of bytes on this carrier, although an earlier one carried more', () => {
    const world = sent(1000);
    expect(world.outbox.rewind(100)).toBe(true);
    expect(world.outbox.acknowledge(101)).toBe(false);
    world.send();
    expect(world.outbox.acknowledge(1000)).toBe(true);
  });

  test('tells whether a bulk frame still waits', () => {
    const world = new World();
    expect(world.outbox.bulkIsWaiting(world.outbox.bulkMark)).toBe(false);
    world.claim('bulk', 100, 100);
    const first = world.outbox.bulkMark;
    world.adopt(1000);
    const second = world.outbox.bulkMark;
    expect([first, second].map((mark) => world.outbox.bulkIsWaiting(mark))).toEqual([true, true]);
    world.sealBulk();
    expect([first, second].map((mark) => world.outbox.bulkIsWaiting(mark))).toEqual([false, true]);
    world.sealBulk();
    expect(world.outbox.bulkIsWaiting(second)).toBe(false);
  });

  test('small frames share a block; an idle outbox holds none', () => {
    const world = new World();
    for (let i = 0; i < 50; i += 1) {
      world.claim('urgent', 14, 14);
      world.sealUrgent();
      while (world.send());
      world.carrier.take(world.carrier.waiting);
    }
    expect(world.pool.peak).toBe(1);
    world.ack(1);
    expect(world.pool.out).toBe(0);
  });

  test('without replay, a block is returned as soon as the carrier has released it', () => {
    const pool = new CountingPool();
    const outbox = new Outbox(pool, {keepForReplay: false});
    const peer: Buffer[] = [];
    const carrier = new LateCarrier(peer);
    for (let i = 0; i < 3; i += 1) {
      const place = outbox.claim('bulk', 100_000);
      place.buffer.fill(i, place.at, place.at + place.length);
      expect(outbox.sealBulk()).toBe(true);
      expect(outbox.sendNext(carrier.send)).toBe(true);
      expect(outbox.unackedBytes).toBe(0);
    }
    expect(pool.out).toBe(3);
    carrier.take(3);
    expect(pool.out).toBe(0);
    expect(Buffer.concat(peer).equals(Buffer.concat([0, 1, 2].map((i) => Buffer.alloc(100_000, i))))).toBe(
      true,
    );
  });
});
