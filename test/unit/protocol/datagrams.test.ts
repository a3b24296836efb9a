// The bytes of datagram streams, cut into pieces in every way.

import fc from 'fast-check';
import {expect, test} from 'vitest';
import {DatagramReader, encodeDatagram, MAX_DATAGRAM} from '../../../src/lib/protocol/datagrams.js';
import {parseDatagramOpen} from '../../../src/lib/protocol/egress-messages.js';

const read = (reader: DatagramReader): Buffer[] => {
  const all: Buffer[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) all.push(Buffer.from(next));
  return all;
};

test('datagrams come out as they went in, whatever the pieces are', () => {
  const datagram = fc.uint8Array({maxLength: 300}).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.array(datagram), fc.array(fc.nat({max: 700})), fc.nat({max: 2}), (sent, cuts, how) => {
      const bytes = Buffer.concat(sent.map(encodeDatagram));
      const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const reader = new DatagramReader();
      const got: Buffer[] = [];
      places.slice(1).forEach((end, at) => {
        reader.push(bytes.subarray(places[at], end));
        if (how > 0) got.push(...read(reader));
        if (how > 1) reader.keep();
      });
      got.push(...read(reader));
      expect(got).toEqual(sent);
      expect(reader.buffered).toBe(0);
    }),
  );
});

test('the longest datagram is read, a longer one is a violation, and half of one is neither', () => {
  const reader = new DatagramReader();
  reader.push(encodeDatagram(Buffer.alloc(MAX_DATAGRAM, 7)));
  expect(reader.next()).toHaveLength(MAX_DATAGRAM);
  reader.push(Buffer.of(1));
  expect(reader.next()).toBeUndefined();
  reader.push(Buffer.of(0, 1, 2));
  expect(reader.next()).toBeUndefined();
  expect(reader.buffered).toBe(4);
  const bad = new DatagramReader();
  bad.push(Buffer.of(0xff, 0xe4));
  expect(() => bad.next()).toThrow('a datagram of 65508 bytes');
});

test('what is kept has memory of its own, which grows with what comes', () => {
  const reader = new DatagramReader();
  const chunk = Buffer.alloc(1_000_000);
  encodeDatagram(Buffer.alloc(MAX_DATAGRAM, 7)).copy(chunk);
  for (let at = 0; at <= MAX_DATAGRAM; at += 1) {
    reader.push(chunk.subarray(at, at + 1));
    expect(reader.next()).toBeUndefined();
    reader.keep();
    expect(reader.buffered).toBe(0);
  }
  reader.push(chunk.subarray(MAX_DATAGRAM + 1, MAX_DATAGRAM + 4));
  const whole = reader.next();
  expect(whole).toEqual(Buffer.alloc(MAX_DATAGRAM, 7));
  expect(whole?.buffer.byteLength).toBeLessThan(2 * MAX_DATAGRAM);
  expect(reader.buffered).toBe(2);
  const bad = new DatagramReader();
  bad.push(Buffer.of(0xff));
  expect(bad.next()).toBeUndefined();
  bad.keep();
  bad.push(Buffer.of(0xff));
  expect(() => bad.next()).toThrow('a datagram of 65535 bytes');
});

test('the OPEN', () => {
  const parse = (about: object) => parseDatagramOpen(Buffer.from(JSON.stringify(about)));
  const about = {egress: 'my-proxy', host: 'NTP.example', port: 123};
  expect(parse(about)).toEqual({...about, host: 'ntp.example', spread: false, family: undefined});
  expect(parse({...about, family: 6})).toMatchObject({family: 6});
  for (const wrong of [{family: 5}, {family: '4'}, {family: 0}, {port: 0}, {host: ''}, {egress: 'A B'}])
    expect(() => parse({...about, ...wrong})).toThrow();
});
