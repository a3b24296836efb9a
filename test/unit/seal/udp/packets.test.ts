// Packets of UDP: what is built is read again, checksums hold, and nothing that a program sends does harm.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  answerPacket,
  echoAnswer,
  type FlowEnds,
  flowKey,
  readEcho,
  readRefusedFlow,
  readUdpPacket,
  udpPacket,
  unreachablePacket,
} from '../../../../src/lib/seal/udp/packets.js';

const bytes = (length: number) =>
  fc.uint8Array({minLength: length, maxLength: length}).map((each) => Buffer.from(each));
const port = fc.integer({min: 0, max: 65_535});
const ends: fc.Arbitrary<FlowEnds> = fc
  .constantFrom(4, 16)
  .chain((length) =>
    fc.record({source: bytes(length), sourcePort: port, destination: bytes(length), destinationPort: port}),
  );
const payload = fc
  .oneof(fc.uint8Array({maxLength: 200}), fc.uint8Array({minLength: 1_000, maxLength: 3_000}))
  .map((each) => Buffer.from(each));

/** RFC 1071 by another way: all words with their sum, in bits of their own. */
function sum16(words: Buffer): number {
  let sum = 0n;
  for (let at = 0; at < words.length; at += 2)
    sum += BigInt(words[at] as number) * 256n + BigInt(words[at + 1] ?? 0);
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum);
}

/** The sum over what a checksum of the upper protocol covers. It has to be 0xffff. */
function upperSum(packet: Buffer): number {
  const isFour = packet[0] === 0x45;
  const upper = packet.subarray(isFour ? 20 : 40);
  const addresses = isFour ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const protocol = isFour ? packet[9] : packet[6];
  // ICMP of IPv4 covers no addresses.
  const pseudo =
    protocol === 1
      ? []
      : [addresses, Buffer.of(0, protocol as number, upper.length >> 8, upper.length & 255)];
  const even = upper.length % 2 === 0 ? upper : Buffer.concat([upper, Buffer.of(0)]);
  return sum16(Buffer.concat([...pseudo, even]));
}

test('a packet is read as it was built, with right checksums', () => {
  fc.assert(
    fc.property(ends, payload, (flow, data) => {
      const packet = udpPacket(flow, data) as Buffer;
      expect(readUdpPacket(packet)).toEqual({...flow, payload: data});
      expect(upperSum(packet)).toBe(0xffff);
      if (flow.source.length === 4) expect(sum16(packet.subarray(0, 20))).toBe(0xffff);
      const answer = readUdpPacket(answerPacket(flow, data) as Buffer);
      expect([answer?.source, answer?.destinationPort]).toEqual([flow.destination, flow.sourcePort]);
    }),
  );
});

test('the checksum is never the one that means there is none', () => {
  // All words together are 0xffff, so their complement is zero.
  const flow = {
    source: Buffer.of(0, 0, 0, 0),
    destination: Buffer.of(0, 0, 0, 0),
    sourcePort: 0xffff - 17 - 8 - 8,
    destinationPort: 0,
  };
  expect(udpPacket(flow, Buffer.alloc(0))?.readUInt16BE(26)).toBe(0xffff);
});

test('longest datagrams', () => {
  const flow = (length: number) => ({
    source: Buffer.alloc(length),
    destination: Buffer.alloc(length),
    sourcePort: 1,
    destinationPort: 2,
  });
  expect(udpPacket(flow(4), Buffer.alloc(65_507))).toHaveLength(65_535);
  expect(udpPacket(flow(4), Buffer.alloc(65_508))).toBeUndefined();
  expect(udpPacket(flow(16), Buffer.alloc(65_487))).toHaveLength(65_535);
  expect(udpPacket(flow(16), Buffer.alloc(65_488))).toBeUndefined();
});

test('the news that nobody listens quotes the datagram, with right checksums', () => {
  fc.assert(
    fc.property(
      ends,
      fc.constantFrom<'port' | 'forbidden' | 'host'>('port', 'forbidden', 'host'),
      (flow, why) => {
        const packet = unreachablePacket(flow, why);
        const isFour = flow.source.length === 4;
        const icmp = packet.subarray(isFour ? 20 : 40);
        expect(upperSum(packet)).toBe(0xffff);
        const codes = isFour ? {port: 3, forbidden: 13, host: 1} : {port: 4, forbidden: 1, host: 3};
        expect([icmp[0], icmp[1]]).toEqual([isFour ? 3 : 1, codes[why]]);
        expect(readUdpPacket(icmp.subarray(8))).toEqual({...flow, payload: Buffer.alloc(0)});
        // Its own protocol is no datagram.
        expect(readUdpPacket(packet)).toBeUndefined();
      },
    ),
  );
});

test('the kernel’s news that nobody listens names the flow, and nothing else is taken for it', () => {
  fc.assert(
    fc.property(ends, payload, fc.nat(), (flow, data, cut) => {
      const packet = unreachablePacket(flow, 'port');
      const isSix = flow.source.length === 16;
      expect(readRefusedFlow(packet)).toEqual(isSix ? flow : undefined);
      for (const other of [unreachablePacket(flow, 'host'), udpPacket(flow, data)])
        expect(other && readRefusedFlow(other)).toBeUndefined();
      expect(readRefusedFlow(packet.subarray(0, cut % packet.length))).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 200}), (noise) => void readRefusedFlow(Buffer.from(noise))),
  );
});

test('questions of ping, and the answers to them', () => {
  fc.assert(
    fc.property(
      bytes(16),
      bytes(16),
      port,
      fc.uint8Array({minLength: 2, maxLength: 300}),
      (source, destination, sourcePort, data) => {
        const flow = {source, destination, sourcePort, destinationPort: 0};
        const answer = echoAnswer(flow, Buffer.from(data)) as Buffer;
        expect(upperSum(answer)).toBe(0xffff);
        expect([answer[40], answer[41], answer.readUInt16BE(44)]).toEqual([129, 0, sourcePort]);
        expect([answer.subarray(8, 24), answer.subarray(24, 40)]).toEqual([destination, source]);
        expect(readEcho(answer)).toBeUndefined();
        const question = Buffer.from(answer);
        question[40] = 128;
        expect(readEcho(question)).toEqual({
          ...{source: destination, destination: source, sourcePort, destinationPort: 0},
          payload: Buffer.from(data),
        });
        expect(readUdpPacket(question)).toBeUndefined();
        expect(readEcho(question.subarray(0, question.length - 1))).toBeUndefined();
      },
    ),
  );
  fc.assert(fc.property(fc.uint8Array({maxLength: 200}), (noise) => void readEcho(Buffer.from(noise))));
});

test('keys of flows', () => {
  fc.assert(
    fc.property(ends, ends, (one, two) => {
      const isSame =
        one.source.equals(two.source) &&
        one.destination.equals(two.destination) &&
        one.sourcePort === two.sourcePort &&
        one.destinationPort === two.destinationPort;
      expect(flowKey(one) === flowKey(two)).toBe(isSame);
      expect(flowKey(one)).toBe(flowKey({...one}));
    }),
  );
});

describe('what a program may send', () => {
  test('any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 120}), (any) => {
        const packet = Buffer.from(any);
        const read = readUdpPacket(packet);
        if (read !== undefined) expect(read.payload.length).toBeLessThanOrEqual(packet.length - 28);
      }),
      {numRuns: 2_000},
    );
  });

  test('a good packet with some bytes changed, or cut', () => {
    fc.assert(
      fc.property(ends, payload, fc.nat(), fc.nat({max: 255}), fc.nat(), (flow, data, at, byte, cut) => {
        const packet = udpPacket(flow, data) as Buffer;
        packet[at % Math.min(packet.length, 48)] = byte;
        const part = packet.subarray(0, cut % (packet.length + 1));
        const read = readUdpPacket(part);
        if (read !== undefined) expect(read.payload.length).toBeLessThanOrEqual(part.length - 28);
      }),
      {numRuns: 2_000},
    );
  });

  test('fragments and other protocols are no datagrams', () => {
    const flow = {source: Buffer.alloc(4), destination: Buffer.alloc(4), sourcePort: 1, destinationPort: 2};
    for (const [at, byte] of [
      [6, 0x20],
      [7, 1],
      [9, 6],
      [0, 0x44],
      [0, 0x4f],
      [0, 0x50],
      [24, 0xff],
      [25, 7],
    ] as const) {
      const packet = udpPacket(flow, Buffer.from('data')) as Buffer;
      packet[at] = byte;
      expect(readUdpPacket(packet)).toBeUndefined();
    }
  });
});
