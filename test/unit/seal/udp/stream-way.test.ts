// A flow of UDP whose stream comes late.

import {expect} from 'vitest';
import {FixedRoom} from '../../../../src/lib/bytes/datagram-room.js';
import {DatagramTurns} from '../../../../src/lib/bytes/datagram-turns.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {StreamWay} from '../../../../src/lib/seal/udp/stream-way.js';
import {test} from '../../../helpers/test.js';

test('few empty datagrams wait for the stream', () => {
  let opened = (_stream: Stream): void => {};
  const way = new StreamWay({
    turns: new DatagramTurns({soon: setImmediate}),
    room: new FixedRoom(1 << 20),
    events: {onDatagram: () => {}, onOpened: () => {}, onEnded: () => {}},
    open: async (onOpen) => {
      opened = onOpen;
    },
    endOf: () => ({answer: undefined}),
    failed: (error) => ({answer: undefined, error}),
  });
  for (let at = 0; at < 100_000; at += 1) way.send(Buffer.alloc(0));
  let written = 0;
  const write = () => {
    written += 1;
    return true;
  };
  opened({sendRoom: 1 << 20, write} as unknown as Stream);
  expect(written).toBeGreaterThan(500);
  expect(written).toBeLessThan(700);
});
