// Flows of UDP: one way out for each port and destination, limits, rests, and what a program is told of refusals.

import {expect, test} from 'vitest';
import {TunlError} from '../../../../src/lib/core/errors.js';
import type {MemberTarget, OuterTarget} from '../../../../src/lib/seal/passage.js';
import {type DatagramsOut, UdpFlows, type WayOutEvents} from '../../../../src/lib/seal/udp/flows.js';
import {type FlowEnds, readUdpPacket, udpPacket} from '../../../../src/lib/seal/udp/packets.js';

const OWN = Buffer.of(198, 19, 0, 1);

const ends = (sourcePort: number, last: number, destinationPort = 443): FlowEnds => ({
  source: OWN,
  sourcePort,
  destination: Buffer.of(203, 0, 113, last),
  destinationPort,
});

interface Way {
  target: Parameters<DatagramsOut<OuterTarget | MemberTarget>>[0];
  events: WayOutEvents;
  sent: string[];
  isEnded: boolean;
}

function rig() {
  const ways: Way[] = [];
  const packets: Buffer[] = [];
  const failed: string[] = [];
  let now = 0;
  const flows = new UdpFlows({
    now: () => now,
    targetOf: (address, port) => {
      if (address === '203.0.113.66') return undefined;
      return address === '203.0.113.7'
        ? {kind: 'name', name: 'site.example', port}
        : {kind: 'address', address, port};
    },
    out: (target, events) => {
      const way: Way = {target, events, sent: [], isEnded: false};
      ways.push(way);
      return {
        send: (datagram) => void way.sent.push(String(datagram)),
        end: () => {
          way.isEnded = true;
        },
        refuse: () => {},
        finish: async () => {},
      };
    },
    onPacket: (packet) => void packets.push(packet),
    onUnreachable: (host, port) => void failed.push(`${host} ${port}`),
  });
  const send = (flow: FlowEnds, text = 'x') => flows.take(udpPacket(flow, Buffer.from(text)) as Buffer);
  const pass = (ms: number) => {
    now += ms;
  };
  return {flows, ways, packets, failed, send, pass};
}

test('each port and destination has a way of its own, and answers come from the destination', () => {
  const {flows, ways, packets, send} = rig();
  send(ends(1_000, 7), 'one');
  send(ends(1_000, 7), 'two');
  send(ends(1_000, 8));
  send(ends(1_001, 8));
  expect(ways.map(({target, sent}) => [target, sent])).toEqual([
    [{kind: 'name', name: 'site.example', port: 443, family: 4, from: 1_000}, ['one', 'two']],
    [{kind: 'address', address: '203.0.113.8', port: 443, family: 4, from: 1_000}, ['x']],
    [{kind: 'address', address: '203.0.113.8', port: 443, family: 4, from: 1_001}, ['x']],
  ]);
  ways[0]?.events.onDatagram(Buffer.from('answer'));
  expect(readUdpPacket(packets[0] as Buffer)).toEqual({
    source: Buffer.of(203, 0, 113, 7),
    sourcePort: 443,
    destination: OWN,
    destinationPort: 1_000,
    payload: Buffer.from('answer'),
  });
  expect(flows.size).toBe(3);
});

test('a refused flow is told at once, asks again later only, and goes on when it may', () => {
  const {ways, packets, failed, send, pass} = rig();
  send(ends(1_000, 8));
  ways[0]?.events.onEnded({answer: 'port'});
  for (let round = 0; round < 5; round += 1) send(ends(1_000, 8));
  expect([ways.length, packets.length, failed]).toEqual([1, 6, []]);
  expect(packets.every((packet) => packet[20] === 3 && packet[21] === 3)).toBe(true);
  pass(1_000);
  send(ends(1_000, 8), 'again');
  expect(ways[1]?.sent).toEqual(['again']);
  ways[1]?.events.onEnded({answer: 'forbidden', error: new TunlError('EGRESS_FORBIDDEN')});
  expect([packets.at(-1)?.[21], failed]).toEqual([13, ['203.0.113.8 443']]);
  send(ends(1_000, 66));
  expect([ways.length, packets.at(-1)?.[21]]).toEqual([2, 13]);
});

test('an orderly end lets the next datagram begin a new flow; a late answer of an old one is lost', () => {
  const {flows, ways, packets, send} = rig();
  send(ends(1_000, 8));
  ways[0]?.events.onEnded({answer: undefined});
  expect(flows.size).toBe(0);
  ways[0]?.events.onDatagram(Buffer.from('late'));
  expect(packets).toEqual([]);
  send(ends(1_000, 8));
  expect(ways).toHaveLength(2);
});

test('flows rest for 60 s at the most, in both directions', () => {
  const {flows, ways, send, pass} = rig();
  for (const last of [1, 2, 3]) send(ends(1_000, last));
  pass(50_000);
  send(ends(1_000, 1));
  ways[1]?.events.onDatagram(Buffer.from('answer'));
  pass(20_000);
  flows.sweep();
  expect(ways.map(({isEnded}) => isEnded)).toEqual([false, false, true]);
  flows.close();
  expect(ways.every(({isEnded}) => isEnded)).toBe(true);
  expect(flows.size).toBe(0);
});

test('there are 1,024 at once: the one that sent nothing for the longest time gives way', () => {
  const {flows, ways, send} = rig();
  for (let port = 1; port <= 1_024; port += 1) send(ends(port, 8));
  send(ends(1, 8), 'still here');
  send(ends(2_000, 8));
  expect(flows.size).toBe(1_024);
  expect([ways[0]?.isEnded, ways[1]?.isEnded, ways[2]?.isEnded]).toEqual([false, true, false]);
});

test('it is known when the first datagrams of all flows are on their way', async () => {
  const {flows, ways, send} = rig();
  for (const last of [1, 2, 3]) send(ends(1_000, last));
  let isDone = false;
  const all = flows.allOpened().then(() => {
    isDone = true;
  });
  ways[0]?.events.onOpened();
  ways[1]?.events.onEnded({answer: 'port'});
  await Promise.resolve();
  expect(isDone).toBe(false);
  ways[2]?.events.onOpened();
  await all;
  await flows.allOpened();
});

test('packets that are no datagrams begin nothing', () => {
  const {flows, ways} = rig();
  for (const packet of [
    Buffer.alloc(0),
    Buffer.from('garbage'),
    Buffer.alloc(100, 0x45),
    Buffer.alloc(65_535, 0x60),
  ])
    flows.take(packet);
  flows.take(udpPacket({...ends(1, 8), destinationPort: 0}, Buffer.alloc(1)) as Buffer);
  expect([flows.size, ways.length]).toEqual([0, 0]);
});
