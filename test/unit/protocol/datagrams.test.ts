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
    fc.property(fc.array(datagram), fc.array(fc.nat({max: 700})), fc.boolean(), (sent, cuts, atOnce) => {
      const bytes = Buffer.concat(sent.map(encodeDatagram));
      const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const reader = new DatagramReader();
      const got: Buffer[] = [];
      places.slice(1).forEach((end, at) => {
        reader.push(bytes.subarray(places[at], end));
        if (!atOnce) got.push(...read(reader));
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

test('the OPEN', () => {
  const parse = (about: object) => parseDatagramOpen(Buffer.from(JSON.stringify(about)));
  const about = {egress: 'my-proxy', host: 'NTP.example', port: 123};
  expect(parse(about)).toEqual({...about, host: 'ntp.example', spread: false, family: undefined});
  expect(parse({...about, family: 6})).toMatchObject({family: 6});
  for (const wrong of [{family: 5}, {family: '4'}, {family: 0}, {port: 0}, {host: ''}, {egress: 'A B'}])
    expect(() => parse({...about, ...wrong})).toThrow();
});
