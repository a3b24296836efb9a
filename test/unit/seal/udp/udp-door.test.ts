// The end of a command: its last datagrams have been taken by the other side before anything is closed.

import {duplexPair} from 'node:stream';
import {expect} from 'vitest';
import {FixedRoom} from '../../../../src/lib/bytes/datagram-room.js';
import {DatagramStream} from '../../../../src/lib/bytes/datagram-stream.js';
import {DatagramTurns} from '../../../../src/lib/bytes/datagram-turns.js';
import {openLocalSession} from '../../../../src/lib/carrier/local-session.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {DatagramReader, encodeDatagram} from '../../../../src/lib/protocol/datagrams.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import {MARK_PORT, MARK4, OWN4} from '../../../../src/lib/seal/udp/device.js';
import {udpPacket} from '../../../../src/lib/seal/udp/packets.js';
import {StreamWay} from '../../../../src/lib/seal/udp/stream-way.js';
import {UdpDoor} from '../../../../src/lib/seal/udp/udp-door.js';
import {socketPair} from '../../../helpers/init.js';
import {test} from '../../../helpers/test.js';

const bytes = (address: string) => Buffer.from(address.split('.').map(Number));
const packet = (host: string, port: number, text: string) =>
  udpPacket(
    {source: bytes(OWN4), sourcePort: 5_000, destination: bytes(host), destinationPort: port},
    Buffer.from(text),
  ) as Buffer;

/** The work of a relay that is slow: the test says when its turns go on. */
class SlowTurns extends DatagramTurns {
  static waiting: (() => void)[] = [];

  constructor() {
    super({soon: (fn) => void SlowTurns.waiting.push(fn)});
  }

  static next(): void {
    for (const fn of SlowTurns.waiting.splice(0)) fn();
  }
}

test('the door waits until the other side has taken all datagrams of a burst', async ({scope}) => {
  const [near, far] = await socketPair(scope);
  const taken: string[] = [];
  const begun = Promise.withResolvers<void>();
  const there = openLocalSession({
    socket: far,
    role: 'relay',
    sink: {
      onOpen: (stream) => {
        stream.accept();
        new DatagramStream(stream, {
          turns: new SlowTurns(),
          room: new FixedRoom(1 << 20),
          onDatagram: (datagram) => {
            taken.push(String(datagram));
            begun.resolve();
          },
          onOver: () => {},
        });
      },
      onControl: () => {},
      onEnded: () => {},
    },
  });
  const here = openLocalSession({
    socket: near,
    role: 'agent',
    sink: {onOpen: () => {}, onControl: () => {}, onEnded: () => {}},
  });
  scope.onEnd(() => {
    here.close();
    there.close();
  });
  const [pipe, helper] = duplexPair();
  // The helper sends a mark through the device when it is asked to.
  const reader = new DatagramReader();
  helper.on('data', (piece: Buffer) => {
    reader.push(piece);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next())
      if (frame.length === 0) helper.write(encodeDatagram(packet(MARK4, MARK_PORT, '')));
  });
  const door = new UdpDoor(pipe, {
    targetOf: (address, port) => ({kind: 'address', address, port}),
    out: (_, events) =>
      new StreamWay({
        events,
        turns: new DatagramTurns({soon: setImmediate}),
        room: new FixedRoom(1 << 20),
        open: async (onOpen) => onOpen(here.open(KIND.datagram, {}) as Stream),
        endOf: () => ({answer: undefined}),
        failed: (error) => ({answer: undefined, error}),
      }),
    onUnreachable: () => {},
    now: () => 0,
  });
  scope.onEnd(() => door.close());
  helper.write(encodeDatagram(Buffer.from('ready')));
  for (let at = 0; at < 2_000; at += 1) helper.write(encodeDatagram(packet('203.0.113.1', 9, String(at))));
  let isOver = false;
  const last = door.lastDatagrams().then(() => {
    isOver = true;
  });
  await begun.promise;
  while (!isOver) {
    SlowTurns.next();
    await new Promise(setImmediate);
  }
  await last;
  expect(taken).toHaveLength(2_000);
  expect(door.flows.size).toBe(0);
});
