// Two accepted sockets that are joined: bytes, ends and the pressure of a slow reader pass through.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {pipeline} from 'node:stream/promises';
import {describe, expect} from 'vitest';
import {Rate} from '../../../src/lib/bytes/pace.js';
import {readOn, stopReading} from '../../../src/lib/bytes/reading.js';
import {SocketPipe} from '../../../src/lib/bytes/socket-pipe.js';
import {SocketReads} from '../../../src/lib/bytes/socket-reads.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import {Digest, MiB, sha256Of, source} from '../../helpers/bytes.js';
import {eventually} from '../../helpers/eventually.js';
import {heardBy} from '../../helpers/heard.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {portOf, type Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

interface Ends {
  near: Socket;
  far: Socket;
  pipe: SocketPipe;
  over: Promise<void>;
}

const closed = (socket: Socket) => new Promise((resolve) => socket.resume().once('close', resolve));

/** As a relay gets them: accepted, read for a while, and stopped. */
async function accepted(scope: Scope): Promise<{peer: Socket; socket: Socket}> {
  const server = createServer({allowHalfOpen: true, noDelay: true}, (socket) => {
    socket.on('error', () => {});
    socket.on('readable', look);
    readOn(socket);
    socket.off('readable', look);
    stopReading(socket);
  });
  const look = () => {};
  await scope.listen(server);
  const peer = connect({port: portOf(server), host: '127.0.0.1', allowHalfOpen: true, noDelay: true});
  peer.on('error', () => {});
  scope.onEnd(() => void peer.destroy());
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(peer, 'connect')])) as [
    [Socket],
    unknown,
  ];
  scope.onEnd(() => void socket.destroy());
  return {peer, socket};
}

async function joined(
  scope: Scope,
  {heads = [[], []], rates = []}: {heads?: readonly (readonly string[])[]; rates?: readonly Rate[]} = {},
): Promise<Ends> {
  const [one, two] = [await accepted(scope), await accepted(scope)];
  const over = Promise.withResolvers<void>();
  const end = ({socket}: {socket: Socket}, at: number) => ({
    socket,
    head: (heads[at] ?? []).map((piece) => Buffer.from(piece)),
  });
  const pipe = new SocketPipe(end(one, 0), end(two, 1), {
    reads: new SocketReads(new BlockPool()),
    rates,
    onOver: over.resolve,
  });
  return {near: one.peer, far: two.peer, pipe, over: over.promise};
}

test('32 MiB in each direction at once arrive as they were', async ({scope}) => {
  const {near, far, pipe} = await joined(scope);
  const digests = [new Digest(), new Digest()] as const;
  await Promise.all([
    pipeline(source(32 * MiB, 1), near, {end: true}),
    pipeline(source(32 * MiB, 2), far, {end: true}),
    pipeline(far, digests[0]),
    pipeline(near, digests[1]),
  ]);
  expect(digests.map((digest) => digest.sha256())).toEqual([sha256Of(32 * MiB, 1), sha256Of(32 * MiB, 2)]);
  expect(pipe.bytes).toEqual({fromFirst: 32 * MiB, fromSecond: 32 * MiB});
});

describe.each([[['a', 'b'], []] as const, [[], ['c']] as const, [['a'], ['b', 'c']] as const])(
  'with bytes that were read before (%j)',
  (...heads) => {
    test('these come first, and all that follow', async ({scope}) => {
      const {near, far} = await joined(scope, {heads});
      near.end('1');
      far.end('2');
      expect(await Promise.all([heardBy(far), heardBy(near)])).toEqual([
        `${heads[0].join('')}1`,
        `${heads[1].join('')}2`,
      ]);
    });
  },
);

test('the end of one direction leaves the other one open', async ({scope}) => {
  const {near, far, over} = await joined(scope);
  near.end('question');
  expect(await heardBy(far)).toBe('question');
  far.end('answer');
  expect(await heardBy(near)).toBe('answer');
  await over;
});

test.for(['near', 'far'] as const)(
  'when the %s one is reset, the other one is gone as well',
  async (which, {scope}) => {
    const ends = await joined(scope);
    ends[which].resetAndDestroy();
    const other = ends[which === 'near' ? 'far' : 'near'];
    await Promise.all([ends.over, closed(other)]);
  },
);

test('who does not read stops the other one: little waits here', async ({scope}) => {
  const {near, far, pipe} = await joined(scope);
  far.pause();
  const [, holder] = pipe.unread(() => {});
  const [first] = pipe.unread(() => {});
  const writing = pipeline(source(64 * MiB, 3), near);
  let before = -1;
  // Until nothing moves any more.
  await eventually(async () => {
    const {fromFirst} = pipe.bytes;
    const isStill = fromFirst === before;
    before = fromFirst;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isStill && fromFirst > 0).toBe(true);
  });
  expect(first?.stream.heldBytes).toBeLessThanOrEqual((512 + 161) * 1024);
  expect(first?.stream.heldBytes).toBeGreaterThan(0);
  expect(holder?.stream.heldBytes).toBe(0);
  const digest = new Digest();
  await Promise.all([writing, pipeline(far, digest)]);
  expect(digest.sha256()).toBe(sha256Of(64 * MiB, 3));
});

test('many small pieces for somebody who does not read count with the memory that they take', async ({
  scope,
}) => {
  const [one, two] = [await accepted(scope), await accepted(scope)];
  two.peer.pause();
  const junk = Buffer.alloc(64 * 1024);
  while (two.socket.writableLength === 0) {
    two.socket.write(junk);
    await new Promise(setImmediate);
  }
  const reads = new SocketReads(new BlockPool());
  const end = ({socket}: {socket: Socket}) => ({socket, head: []});
  const pipe = new SocketPipe(end(one), end(two), {reads, rates: [], onOver: () => {}});
  const [holder] = pipe.unread(() => {});
  // Each byte is a read of its own, until no more are read.
  for (let before = -1; before < pipe.bytes.fromFirst; ) {
    before = pipe.bytes.fromFirst;
    one.peer.write('x');
    for (let turn = 0; turn < 200 && pipe.bytes.fromFirst === before; turn++) await new Promise(setImmediate);
  }
  expect(pipe.bytes.fromFirst).toBeGreaterThan(500);
  expect(pipe.bytes.fromFirst).toBeLessThan(1_100);
  expect(holder?.stream.heldBytes).toBeGreaterThanOrEqual(512 * pipe.bytes.fromFirst);
});

test('a limit of bandwidth holds for both directions together', async ({scope}) => {
  const clock = new ManualClock();
  const rate = new Rate({clock, bytesPerSecond: () => 1_000_000});
  const {near, far, pipe} = await joined(scope, {rates: [rate]});
  near.write(Buffer.alloc(2 * MiB));
  far.write(Buffer.alloc(2 * MiB));
  near.resume();
  far.resume();
  const sum = () => pipe.bytes.fromFirst + pipe.bytes.fromSecond;
  await eventually(() => expect(sum()).toBeGreaterThan(0));
  // What was read at once before the limit said no: one read of each direction.
  const first = sum();
  expect(first).toBeLessThanOrEqual(2 * 160 * 1024);
  for (let second = 0; second < 6; second++) {
    clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(sum()).toBeLessThanOrEqual(first + (second + 1) * 1_000_000 + 2 * 160 * 1024);
  }
  await eventually(async () => {
    clock.advance(1_000);
    expect(sum()).toBe(4 * MiB);
  });
});

test('destroy ends both, once', async ({scope}) => {
  const {near, far, pipe, over} = await joined(scope);
  pipe.destroy();
  pipe.destroy();
  await Promise.all([over, closed(near), closed(far)]);
});
