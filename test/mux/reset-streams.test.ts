// Streams that end while their frames wait: their frames are dropped, and the peer gets the frames that it needs.
import {describe, expect, test} from 'vitest';
import {createPipe} from '../../src/lib/mux/pipe.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {FRAME, KIND} from '../../src/lib/protocol/wire.js';
import {RawPeer, relink, settle, type Victim, victim} from './raw-peer.js';
import {StuckCarrier} from './stuck-carrier.js';
import {ack} from './wire-bytes.js';

const KIB = 1024;
const MIB = KIB * KIB;

function openWith({session}: Victim, ...pieces: Buffer[]): Stream {
  const stream = session.open(KIND.visitor, {}) as Stream;
  for (const piece of pieces) stream.write(piece);
  return stream;
}

/** A victim without a link, and a function that gives it one. */
async function away(): Promise<{world: Victim; comeBack: () => Promise<RawPeer>}> {
  const world = victim();
  await settle();
  const received = world.peer.received;
  world.carrier.destroy();
  await settle();
  expect(world.session.link).toBeUndefined();
  return {
    world,
    async comeBack() {
      const [mine, theirs] = createPipe();
      relink(world.session, world.clock, mine, received);
      const peer = new RawPeer(theirs);
      await settle(20);
      return peer;
    },
  };
}

const typesOf = (peer: RawPeer, id: number): number[] =>
  peer.frames.filter(({streamId}) => streamId === id).map(({type}) => type);

describe('streams that are reset', () => {
  test('before their OPEN left, by the thousand: hardly anything is kept, and the others continue', async () => {
    const {world, comeBack} = await away();
    const first = openWith(world, Buffer.from('first'));
    let most = 0;
    for (let i = 0; i < 12_000; i += 1) {
      openWith(world, Buffer.alloc(64 * KIB, 7)).reset('VISITOR_RESET');
      most = Math.max(most, world.session.queuedBytes);
    }
    expect(most).toBeLessThan(MIB);
    expect(world.pool.out).toBeLessThan(10);
    const last = openWith(world, Buffer.alloc(64 * KIB, 1), Buffer.from('last'));
    const peer = await comeBack();
    expect(world.ended()).toBeUndefined();
    const others = new Set(peer.frames.map(({streamId}) => streamId));
    others.delete(first.id);
    others.delete(last.id);
    expect(others.size).toBeLessThan(10);
    // When the peer gets the OPEN of a stream, it also gets the end.
    for (const id of others) expect(typesOf(peer, id)).toEqual([FRAME.open, FRAME.data, FRAME.reset]);
    expect(typesOf(peer, first.id)).toEqual([FRAME.open, FRAME.data]);
    const heard = Buffer.concat(
      peer.frames
        .filter(({type, streamId}) => type === FRAME.data && streamId === last.id)
        .map((f) => f.payload),
    );
    expect(heard.equals(Buffer.concat([Buffer.alloc(64 * KIB, 1), Buffer.from('last')]))).toBe(true);
  });

  test('behind a full carrier: their data is dropped, their ends arrive, and others lose nothing', async () => {
    const [mine, theirs] = createPipe();
    const stuck = new StuckCarrier(mine);
    const world = victim({carriers: [stuck, theirs]});
    const living = openWith(world, Buffer.alloc(200 * KIB, 3));
    await settle();
    const ids: number[] = [];
    let most = 0;
    for (let i = 0; i < 2_000; i += 1) {
      const stream = openWith(world, Buffer.alloc(64 * KIB, 7));
      ids.push(stream.id);
      // Its OPEN leaves, its data waits.
      if (i % 20 === 0) await settle(3);
      if (i % 100 === 0) living.write(Buffer.from(`${i} `));
      stream.reset('VISITOR_RESET');
      most = Math.max(most, world.session.queuedBytes);
    }
    expect(most).toBeLessThan(4 * MIB);
    stuck.release();
    await settle(60);
    expect(world.ended()).toBeUndefined();
    for (const id of ids) {
      const types = typesOf(world.peer, id);
      if (types.length > 0) expect([types[0], types.at(-1)]).toEqual([FRAME.open, FRAME.reset]);
    }
    const heard = Buffer.concat(
      world.peer.frames
        .filter(({type, streamId}) => type === FRAME.data && streamId === living.id)
        .map((f) => f.payload),
    );
    const due = Array.from({length: 20}, (_, i) => `${i * 100} `).join('');
    expect(heard.subarray(200 * KIB).toString()).toBe(due);
  });

  test('by the peer: their waiting frames are dropped as well', async () => {
    const {world} = await away();
    const streams = Array.from({length: 200}, () => openWith(world, Buffer.alloc(64 * KIB, 7)));
    expect(world.session.queuedBytes).toBeGreaterThan(12 * MIB);
    for (const stream of streams) stream.receive('receiveReset', 'CANCELLED');
    expect(world.session.queuedBytes).toBeLessThan(MIB);
  });
});

describe('sources of many streams', () => {
  test('are asked to stop when the link is lost, and go on by turns when it is back', async () => {
    const world = victim();
    const held = new Set<number>();
    let goes = 0;
    for (let i = 0; i < 500; i += 1) {
      const stream = world.session.open(KIND.visitor, {}) as Stream;
      stream.sink = {
        onData: () => {},
        onEnd: () => {},
        onReset: () => {},
        onHold: () => void held.add(stream.id),
        onWritable: () => {
          held.delete(stream.id);
          goes += 1;
        },
      };
      expect(stream.mayBegin()).toBe(true);
    }
    await settle();
    world.carrier.destroy();
    await settle();
    expect([held.size, goes]).toEqual([500, 0]);
    const [mine, theirs] = createPipe();
    relink(world.session, world.clock, mine, world.peer.received);
    void new RawPeer(theirs);
    await settle(100);
    expect([held.size, goes]).toEqual([0, 500]);
  });

  test('are asked to stop when much waits at once: each may have had permission for a chunk before the first one arrived', async () => {
    const [mine, theirs] = createPipe();
    const stuck = new StuckCarrier(mine);
    const world = victim({carriers: [stuck, theirs]});
    const reading = new Set<Stream>();
    let most = 0;
    const streams = Array.from({length: 2_000}, () => {
      const stream = world.session.open(KIND.visitor, {}) as Stream;
      stream.sink = {
        onData: () => {},
        onEnd: () => {},
        onReset: () => {},
        onHold: () => void reading.delete(stream),
        onWritable: () => void reading.add(stream),
      };
      if (stream.mayBegin()) reading.add(stream);
      return stream;
    });
    // In a turn of the event loop every source that is read brings 64 KiB.
    for (let turns = 0; turns < 20; turns += 1) {
      for (const stream of streams) {
        if (reading.has(stream) && !stream.write(Buffer.alloc(64 * KIB))) reading.delete(stream);
        most = Math.max(most, world.session.queuedBytes);
      }
      await settle(2);
    }
    expect(most).toBeLessThan(8 * MIB);
    stuck.release();
    const served = new Set<number>();
    for (let turns = 0; turns < 2_000 && served.size < streams.length; turns += 1) {
      for (const stream of reading) if (!stream.write(Buffer.alloc(64 * KIB))) reading.delete(stream);
      await settle(1);
      for (const {type, streamId} of world.peer.frames.splice(0))
        if (type === FRAME.data) served.add(streamId);
      world.peer.send(ack(world.peer.received));
    }
    expect(world.ended()).toBeUndefined();
    expect(served.size).toBe(2_000);
  });
});
