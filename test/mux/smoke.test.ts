// A session pair over the in-memory pipe: bytes, ends and resume in their simplest form.

import {createHash, randomBytes} from 'node:crypto';
import {expect, test} from 'vitest';
import {BlockPool} from '../../src/lib/mux/blocks.js';
import {Link} from '../../src/lib/mux/link.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import {Session} from '../../src/lib/mux/session.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {KIND} from '../../src/lib/protocol/wire.js';

test('a stream carries bytes both ways and ends each way by itself', async () => {
  const pool = new BlockPool();
  const [a, b] = createPipe();
  const ended = Promise.withResolvers<void>();
  const hash = createHash('sha256');
  let echoed = 0;
  const relay = new Session({
    role: 'relay',
    pool,
    sink: {onOpen: () => {}, onControl: () => {}, onEnded: () => {}},
  });
  const agent = new Session({
    role: 'agent',
    pool,
    sink: {
      onOpen(stream: Stream) {
        stream.sink = {
          onData(piece) {
            stream.write(piece);
            stream.consumed(piece.length);
          },
          onEnd: () => stream.end(),
          onWritable: () => {},
          onReset: () => {},
        };
        stream.accept();
      },
      onControl: () => {},
      onEnded: () => {},
    },
  });
  for (const [session, carrier] of [
    [relay, a],
    [agent, b],
  ] as const) {
    const link = new Link(carrier);
    link.start({onSegmentBytes() {}, onAck() {}, onMessage() {}, onDrain() {}, onClose() {}});
    session.attach(link, 0);
  }
  const stream = relay.open(KIND.visitor, {}) as Stream;
  stream.sink = {
    onData(piece) {
      hash.update(piece);
      echoed += piece.length;
      stream.consumed(piece.length);
    },
    onEnd: () => ended.resolve(),
    onWritable: () => pump(),
    onReset: (code) => ended.reject(new Error(code)),
  };
  const chunk = randomBytes(50_000);
  const want = createHash('sha256');
  let sent = 0;
  const pump = () => {
    while (sent < 400) {
      sent += 1;
      want.update(chunk);
      if (!stream.write(chunk)) return;
    }
    stream.end();
  };
  pump();
  await ended.promise;
  expect(echoed).toBe(400 * 50_000);
  expect(hash.digest('hex')).toBe(want.digest('hex'));
  relay.close();
});
