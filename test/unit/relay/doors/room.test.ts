// Whether there is room for a visitor, and which visitor makes room.

import {expect, test} from 'vitest';
import {Room} from '../../../../src/lib/relay/doors/room.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const peer = {address: '203.0.113.1', port: 1, source: '203.0.113.1'};

function setUp({
  none = false,
  held = 0,
  givesWay = false,
}: {
  none?: boolean;
  held?: number;
  givesWay?: boolean;
}) {
  const events: RelayEvent[] = [];
  let asked = 0;
  const room = new Room({
    clock: new ManualClock(),
    events: {emit: (event) => void events.push(event)},
    descriptors: {noneForVisitors: none, noneForConnections: none},
    idleBytes: () => held,
    mostBytes: 100,
    watch: {
      makeRoom: () => {
        asked += 1;
        return givesWay;
      },
    },
  });
  return {room, events, asked: () => asked};
}

test('with room no visitor has to go', () => {
  const {room, asked} = setUp({held: 99});
  expect([room.forVisitor(peer), asked()]).toEqual([true, 0]);
});

test.each([
  ['descriptors', {none: true}],
  ['memory', {held: 100}],
])('without %s another visitor is reset, or the new one, and this is logged once', (_what, how) => {
  expect(setUp({...how, givesWay: true}).room.forVisitor(peer)).toBe(true);
  const {room, events} = setUp(how);
  for (let i = 0; i < 1_000; i++) expect(room.forVisitor(peer)).toBe(false);
  expect(events).toEqual([{type: 'turned-away', because: 'no-room', from: peer.address}]);
});
