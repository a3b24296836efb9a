// Flows that other members begin: packets from their addresses, answers, refusals, rests, and the end of all.

import {expect, test} from 'vitest';
import {addressBytes} from '../../../../src/lib/net/address-bytes.js';
import {IncomingFlows, type WayBack} from '../../../../src/lib/seal/udp/incoming-flows.js';
import {
  type FlowEnds,
  flowKey,
  readRefusedFlow,
  readUdpPacket,
} from '../../../../src/lib/seal/udp/packets.js';

const OWN = 'fdaa:1:2::1';
const OTHER = 'fdaa:1:2::2';
const bytes = (address: string) => addressBytes(address) as Buffer;
const answers = (to: number, from = 7_000): FlowEnds => ({
  source: bytes(OWN),
  sourcePort: from,
  destination: bytes(OTHER),
  destinationPort: to,
});

function rig(own: string | undefined = OWN) {
  const packets: Buffer[] = [];
  const said: string[] = [];
  let now = 0;
  const flows = new IncomingFlows({own, onPacket: (packet) => void packets.push(packet), now: () => now});
  const back = (name: string): WayBack => ({
    send: (datagram) => void said.push(`${name} ${datagram}`),
    refuse: () => void said.push(`${name} refused`),
    end: () => void said.push(`${name} ended`),
    finish: async () => void said.push(`${name} finished`),
  });
  const enter = (from: number, name: string) => flows.enter({address: OTHER, from, port: 7_000}, back(name));
  const pass = (ms: number) => {
    now += ms;
  };
  return {flows, packets, said, enter, pass};
}

test('datagrams come from the member’s address and port, and answers to it go back', () => {
  const {flows, packets, said, enter} = rig();
  enter(5_000, 'one')?.deliver(Buffer.from('hello'));
  expect(readUdpPacket(packets[0] as Buffer)).toEqual({
    source: bytes(OTHER),
    sourcePort: 5_000,
    destination: bytes(OWN),
    destinationPort: 7_000,
    payload: Buffer.from('hello'),
  });
  expect(flows.answer(flowKey(answers(5_000)), Buffer.from('x'))).toBe(true);
  expect(flows.answer(flowKey(answers(5_001)), Buffer.from('x'))).toBe(false);
  expect(flows.answer(flowKey(answers(5_000, 7_001)), Buffer.from('x'))).toBe(false);
  expect(said).toEqual(['one x']);
});

test('nothing of a flow that is over comes in, and the program that answers hears why', () => {
  const {flows, packets, said, enter} = rig();
  const way = enter(5_000, 'one');
  way?.over('port');
  way?.over('port');
  way?.deliver(Buffer.from('late'));
  expect(packets).toHaveLength(1);
  expect(readRefusedFlow(packets[0] as Buffer)).toEqual(answers(5_000));
  enter(5_000, 'two');
  flows.refuse(flowKey(answers(5_000)));
  expect([flows.size, said]).toEqual([0, ['two refused']]);
});

test('flows rest for 60 s at the most, in both directions, and end with the door', async () => {
  const {flows, said, enter, pass} = rig();
  const ways = [1, 2, 3, 4].map((from) => enter(from, `${from}`));
  pass(50_000);
  ways[0]?.deliver(Buffer.from('x'));
  flows.answer(flowKey(answers(2)), Buffer.from('x'));
  pass(20_000);
  flows.sweep();
  expect(said).toEqual(['2 x', '3 ended', '4 ended']);
  await flows.finish();
  flows.close();
  expect(said.slice(3)).toEqual(['1 finished', '2 finished', '1 ended', '2 ended']);
  expect(flows.size).toBe(0);
});

test('without an own address, and from one of another family, nothing comes in', () => {
  const nothing = new IncomingFlows({own: undefined, onPacket: () => {}, now: () => 0});
  const back: WayBack = {send: () => {}, refuse: () => {}, end: () => {}, finish: async () => {}};
  expect(nothing.enter({address: OTHER, from: 1, port: 2}, back)).toBeUndefined();
  expect(rig().flows.enter({address: '10.0.0.1', from: 1, port: 2}, back)).toBeUndefined();
});
