// The records that an engine puts around a container's outputs, in all cuts.

import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import fc from 'fast-check';
import {expect, test} from 'vitest';
import {Attached} from '../../../../src/lib/sandbox/engine/attached.js';

function record(stream: number, content: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(content.length, 4);
  return Buffer.concat([head, content]);
}

function pair(): {near: Socket; sent: Buffer[]; feed: (chunk: Buffer | null) => void} {
  const sent: Buffer[] = [];
  const near = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent.push(chunk);
      done();
    },
  });
  return {near: near as Duplex as Socket, sent, feed: (chunk) => near.push(chunk)};
}

test('stdout comes whole, however it is cut; stderr is kept apart', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({maxLength: 50})), {maxLength: 20}),
      fc.array(fc.integer({min: 1, max: 40}), {minLength: 1, maxLength: 10}),
      async (records, cuts) => {
        const {near, feed} = pair();
        const attached = new Attached(near);
        const got = buffer(attached);
        const all = Buffer.concat(records.map(([stream, content]) => record(stream, Buffer.from(content))));
        for (let at = 0, n = 0; at < all.length; n += 1) {
          const size = cuts[n % cuts.length] ?? 1;
          feed(all.subarray(at, at + size));
          at += size;
        }
        feed(null);
        const out = records.filter(([stream]) => stream === 1).map(([, content]) => Buffer.from(content));
        expect((await got).equals(Buffer.concat(out))).toBe(true);
        attached.destroy();
      },
    ),
    {numRuns: 60},
  );
});

test('the last words are short', async () => {
  const {near, feed} = pair();
  const attached = new Attached(near);
  attached.resume();
  for (let n = 0; n < 100; n += 1) feed(record(2, Buffer.alloc(1_000, 'x')));
  feed(record(2, Buffer.from('\nthe end\n')));
  feed(null);
  await new Promise((resolve) => attached.once('end', resolve));
  expect(attached.lastWords.length).toBeLessThanOrEqual(4_096);
  expect(attached.lastWords.endsWith('the end')).toBe(true);
  attached.destroy();
});
