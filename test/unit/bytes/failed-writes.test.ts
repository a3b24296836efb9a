// Writes of a splice's socket: in portions, and without an end of the socket when one fails.

import {once} from 'node:events';
import {Socket} from 'node:net';
import {expect, test} from 'vitest';
import {outliveFailedWrites} from '../../../src/lib/bytes/failed-writes.js';

const KiB = 1024;
const PIECE = 16 * KiB;

/** A socket that takes each write a turn later. */
class Slow extends Socket {
  readonly taken: number[][] = [];
  failsAt = Number.POSITIVE_INFINITY;

  readonly encrypted: boolean;

  constructor(encrypted: boolean) {
    super();
    this.encrypted = encrypted;
  }

  override _writev(chunks: {chunk: Buffer}[], callback: (error?: Error | null) => void): void {
    this.taken.push(chunks.map(({chunk}) => chunk.readUInt16BE()));
    const failed = this.taken.length > this.failsAt;
    const error = failed ? Object.assign(new Error('gone'), {code: 'EPIPE'}) : undefined;
    setImmediate(callback, error);
  }
}

function setUp({encrypted = true} = {}) {
  const socket = new Slow(encrypted);
  const failures: (string | undefined)[] = [];
  outliveFailedWrites(socket, (code) => failures.push(code));
  let written = 0;
  /** Pieces that are written together. */
  const write = (count: number) => {
    socket.cork();
    for (let i = 0; i < count; i++) {
      const piece = Buffer.alloc(PIECE);
      piece.writeUInt16BE(i);
      socket.write(piece, () => (written += 1));
    }
    socket.uncork();
  };
  return {socket, failures, write, written: () => written};
}

test('megabytes that wait reach the socket in order, 256 KiB at a time', async () => {
  const {socket, failures, write, written} = setUp();
  write(200);
  await once(socket, 'drain');
  const sizes = socket.taken.map(({length}) => length * PIECE);
  expect(Math.max(...sizes)).toBe(256 * KiB);
  expect(socket.taken.flat()).toEqual(Array.from({length: 200}, (_, i) => i));
  expect([written(), failures]).toEqual([200, []]);
  socket.taken.length = 0;
  write(10);
  await once(socket, 'drain');
  expect(socket.taken).toHaveLength(1);
});

test('without TLS they leave in one write, because nothing is copied', async () => {
  const {socket, write, written} = setUp({encrypted: false});
  write(100);
  await expect.poll(written).toBe(100);
  expect(socket.taken.map((pieces) => pieces.length)).toEqual([100]);
});

test('after a failed portion the rest is not written, and all writes report success', async () => {
  const {socket, failures, write, written} = setUp();
  socket.failsAt = 2;
  write(200);
  await once(socket, 'drain');
  expect(socket.taken).toHaveLength(3);
  expect([written(), failures, socket.destroyed]).toEqual([200, ['EPIPE'], false]);
});
