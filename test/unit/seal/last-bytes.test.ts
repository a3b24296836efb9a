// How long the end of a command waits for its last bytes.

import {expect, vi} from 'vitest';
import {StreamDuplex} from '../../../src/lib/bytes/stream-duplex.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {Gatekeeper} from '../../../src/lib/seal/gatekeeper.js';
import {LastBytesWait, type Outstanding, outstandingOf} from '../../../src/lib/seal/last-bytes.js';
import type {Scope} from '../../helpers/scope.js';
import {dialAsProgram} from '../../helpers/seal-door.js';
import {test} from '../../helpers/test.js';

const S = 1_000;
const one: Outstanding = {connections: 1, bytes: 0, moved: 0};

test('nothing is outstanding: the wait is over', () => {
  expect(new LastBytesWait(one, 0).isOver({...one, connections: 0}, 1)).toBe(true);
  expect(new LastBytesWait(one, 0).isOver({connections: 0, bytes: 7, moved: 0}, 1)).toBe(false);
});

test('it goes on for as long as bytes move, and ends 3 s after the last one', () => {
  const waiting = new LastBytesWait(one, 0);
  for (let now = 2 * S; now <= 20 * S; now += 2 * S)
    expect(waiting.isOver({...one, moved: now}, now)).toBe(false);
  expect(waiting.isOver({...one, moved: 20 * S}, 22_999)).toBe(false);
  expect(waiting.isOver({...one, moved: 20 * S}, 23 * S)).toBe(true);
});

test('it ends after 60 s even when bytes move', () => {
  const waiting = new LastBytesWait(one, 0);
  for (let now = 2 * S; now < 60 * S; now += 2 * S)
    expect(waiting.isOver({...one, moved: now}, now)).toBe(false);
  expect(waiting.isOver({...one, moved: 60 * S}, 60 * S)).toBe(true);
});

/** A program that has sent bytes and has ended; the seal dials a stream for it. */
async function passing(scope: Scope, stream: Stream) {
  const keeper = new Gatekeeper({
    rules: {kind: 'elsewhere'},
    log: createLogger('seal', undefined),
    onRefused: () => {},
    dialOut: async () => new StreamDuplex(stream),
  });
  scope.onEnd(() => keeper.close());
  const program = await dialAsProgram(scope, keeper, {address: '203.0.113.7', port: 514});
  return {keeper, program};
}

test('bytes that go out, and credit for what the other side has read, are movement', async ({scope}) => {
  const stream = {
    ...{bytesOut: 0, heldBytes: 0, sendRoom: 0, end: () => {}, reset: () => {}, sink: undefined},
    write(piece: Buffer) {
      this.bytesOut += piece.length;
      this.heldBytes += piece.length;
      return false;
    },
  };
  const {keeper, program} = await passing(scope, stream as unknown as Stream);
  const moved = () => outstandingOf(keeper).moved;
  program.end('0123456789');
  await vi.waitFor(() => expect(stream.heldBytes).toBe(10));
  const held = moved();
  stream.heldBytes = 4;
  const sent = moved();
  expect(sent).toBeGreaterThan(held);
  stream.sendRoom = 100;
  expect(moved()).toBeGreaterThan(sent);
  expect(outstandingOf(keeper).connections).toBe(1);
});
