// Datagrams over streams of a real session: none is cut, the oldest give way, and many small ones share the turns.

import type {Socket} from 'node:net';
import {expect} from 'vitest';
import {FixedRoom} from '../../../src/lib/bytes/datagram-room.js';
import {DatagramStream} from '../../../src/lib/bytes/datagram-stream.js';
import {DatagramTurns} from '../../../src/lib/bytes/datagram-turns.js';
import {openLocalSession} from '../../../src/lib/carrier/local-session.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {encodeDatagram} from '../../../src/lib/protocol/datagrams.js';
import {KIND} from '../../../src/lib/protocol/wire.js';
import {socketPair} from '../../helpers/init.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const clock = {soon: (fn: () => void) => void setImmediate(fn)};

/** A stream between two sessions, both ends without a sink. */
async function streams(scope: Scope): Promise<[Stream, Stream]> {
  const [near, far] = await socketPair(scope);
  const offered = Promise.withResolvers<Stream>();
  const make = (socket: Socket, role: 'agent' | 'relay') =>
    openLocalSession({socket, role, sink: {onOpen: offered.resolve, onControl: () => {}, onEnded: () => {}}});
  const here = make(near, 'relay');
  const there = make(far, 'agent');
  scope.onEnd(() => {
    here.close();
    there.close();
  });
  const mine = here.open(KIND.datagram, {}) as Stream;
  const its = await offered.promise;
  its.accept();
  return [mine, its];
}

class End {
  readonly got: Buffer[] = [];
  readonly room = new FixedRoom(1_000_000);
  readonly over: Promise<string | undefined>;
  readonly datagrams: DatagramStream;
  onGot = (): void => {};

  constructor(stream: Stream, turns = new DatagramTurns(clock)) {
    const {promise, resolve} = Promise.withResolvers<string | undefined>();
    this.over = promise;
    this.datagrams = new DatagramStream(stream, {
      turns,
      room: this.room,
      onDatagram: (datagram) => {
        this.got.push(Buffer.from(datagram));
        this.onGot();
      },
      onOver: (code) => resolve(code),
    });
  }

  /** All of the room has come back. */
  get isEmpty(): boolean {
    return this.room.take(1_000_000);
  }
}

test('datagrams arrive as they were sent, empty and large ones too; FIN of one side ends the flow', async ({
  scope,
}) => {
  const [mine, its] = await streams(scope);
  const [near, far] = [new End(mine), new End(its)];
  const gone = new Promise<void>((resolve) => {
    its.onGone = resolve;
  });
  const sent = [0, 1, 1_200, 65_507, 9].map((length, at) => Buffer.alloc(length, at + 1));
  const all = new Promise<void>((resolve) => {
    far.onGot = () => far.got.length === sent.length && resolve();
  });
  for (const each of sent) near.datagrams.send(each);
  near.datagrams.send(Buffer.alloc(65_508));
  await all;
  expect(far.got).toEqual(sent);
  far.datagrams.send(Buffer.from('answer'));
  far.datagrams.end();
  expect(await near.over).toBeUndefined();
  expect(await far.over).toBeUndefined();
  await gone;
  expect(near.got.map(String)).toEqual(['answer']);
  expect([mine.state, its.state]).toEqual(['closed', 'closed']);
  expect([near.isEmpty, far.isEmpty]).toEqual([true, true]);
});

test('a datagram in thousands of small frames arrives', async ({scope}) => {
  const [mine, its] = await streams(scope);
  const far = new End(its);
  const arrived = new Promise<void>((resolve) => {
    far.onGot = resolve;
  });
  const frame = encodeDatagram(Buffer.alloc(4_000, 7));
  for (let at = 0; at < frame.length; at += 2) mine.write(frame.subarray(at, at + 2));
  await arrived;
  expect(far.got).toEqual([Buffer.alloc(4_000, 7)]);
});

test('a flow that is finished ends behind what waits, when the other side has taken it', async ({scope}) => {
  const [mine, its] = await streams(scope);
  const [near, far] = [new End(mine), new End(its)];
  // More than the credit of the stream: a part waits in its queue.
  for (let at = 0; at < 300; at += 1) near.datagrams.send(Buffer.alloc(1_000, at & 255));
  const finished = near.datagrams.finish();
  near.datagrams.send(Buffer.from('too late'));
  expect(near.datagrams.finish()).toBe(finished);
  await finished;
  expect(far.got).toHaveLength(300 - near.datagrams.dropped);
  expect(far.got.at(-1)).toEqual(Buffer.alloc(1_000, 299 & 255));
  expect([await near.over, await far.over]).toEqual([undefined, undefined]);
  expect([mine.state, its.state]).toEqual(['closed', 'closed']);
  expect([near.isEmpty, far.isEmpty]).toEqual([true, true]);
  await near.datagrams.finish();
});

test('with a reader that stops, the oldest give way: what comes later is whole, in order, and the newest', async ({
  scope,
}) => {
  const [mine, its] = await streams(scope);
  const near = new End(mine);
  let kept: Buffer[] | undefined = [];
  const full = Promise.withResolvers<void>();
  let bytes = 0;
  its.sink = {
    onData: (piece) => {
      kept?.push(piece);
      bytes += piece.length;
      if (bytes === 262_144) full.resolve();
    },
    onEnd: () => {},
    onWritable: () => {},
    onReset: () => {},
  };
  const COUNT = 2_000;
  for (let at = 0; at < COUNT; at += 1) {
    const datagram = Buffer.alloc(1_000, at & 255);
    datagram.writeUInt32BE(at);
    near.datagrams.send(datagram);
  }
  await full.promise;
  expect(near.datagrams.dropped).toBeGreaterThan(1_000);
  expect(near.datagrams.dropped).toBeLessThan(COUNT - 262);
  const far = new End(its);
  const last = new Promise<void>((resolve) => {
    far.onGot = () => far.got.at(-1)?.readUInt32BE() === COUNT - 1 && resolve();
  });
  for (const piece of kept) far.datagrams.onData(piece);
  kept = undefined;
  await last;
  const numbers = far.got.map((each) => each.readUInt32BE());
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  expect(far.got.every((each) => each.length === 1_000 && each[999] === (each.readUInt32BE() & 255))).toBe(
    true,
  );
  expect(far.got).toHaveLength(COUNT - near.datagrams.dropped);
  expect(near.isEmpty).toBe(true);
});

test('a room that is full loses datagrams, and a flow that ends gives its part back', async ({scope}) => {
  const [mine, its] = await streams(scope);
  its.sink = {onData: () => {}, onEnd: () => {}, onWritable: () => {}, onReset: () => {}};
  const room = new FixedRoom(10_000);
  const flow = new DatagramStream(mine, {
    turns: new DatagramTurns(clock),
    room,
    onDatagram: () => {},
    onOver: () => {},
  });
  for (let at = 0; at < 400; at += 1) flow.send(Buffer.alloc(1_000));
  expect(flow.dropped).toBeGreaterThan(100);
  expect(room.take(2_000)).toBe(false);
  flow.reset('CANCELLED');
  expect(room.take(10_000)).toBe(true);
});

test('too long a datagram resets the stream', async ({scope}) => {
  const [mine, its] = await streams(scope);
  const far = new End(its);
  const reset = new Promise<string>((resolve) => {
    mine.sink = {onData: () => {}, onEnd: () => {}, onWritable: () => {}, onReset: resolve};
  });
  mine.write(Buffer.of(0xff, 0xff, 1));
  expect(await far.over).toBe('CANCELLED');
  expect(await reset).toBe('CANCELLED');
});

test('many small datagrams of one stream leave turns for another one', async ({scope}) => {
  const turns = new DatagramTurns(clock);
  const [[, flooded], [quiet, far]] = [await streams(scope), await streams(scope)];
  const many = new End(flooded, turns);
  const other = new End(far, turns);
  let turn = 0;
  let isCounting = true;
  const count = () => {
    turn += 1;
    if (isCounting) setImmediate(count);
  };
  setImmediate(count);
  const perTurn = new Map<number, number>();
  const all = new Promise<void>((resolve) => {
    many.onGot = () => {
      perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
      if (many.got.length === 20_000) resolve();
    };
  });
  const first = new Promise<number>((resolve) => {
    other.onGot = () => resolve(many.got.length);
  });
  many.datagrams.onData(Buffer.concat(Array.from({length: 20_000}, () => encodeDatagram(Buffer.alloc(0)))));
  quiet.write(encodeDatagram(Buffer.from('x')));
  expect(await first).toBeLessThan(10_000);
  await all;
  isCounting = false;
  expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(512);
});
