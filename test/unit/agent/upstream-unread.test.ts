// The agent bounds the bytes that visitors send and the upstream does not read.

import {createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import {UpstreamJoin} from '../../../src/lib/agent/upstream-join.js';
import {TcpUpstream} from '../../../src/lib/agent/upstreams/tcp.js';
import {SocketReads} from '../../../src/lib/bytes/socket-reads.js';
import {UnreadLimit} from '../../../src/lib/bytes/unread-limit.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {KIND} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {test} from '../../helpers/test.js';
import {Peers, turn} from '../../mux/peers.js';

const MIB = 1024 * 1024;

test('visitors whose bytes an upstream does not read are cut off when there are too many, and no more get in', async ({
  scope,
}) => {
  const deaf = createServer({pauseOnConnect: true}, (socket: Socket) => {
    socket.on('error', () => {});
    scope.onEnd(() => void socket.destroy());
  });
  const port = await scope.listen(deaf);
  const limits = new ManualClock();
  const unread = new UnreadLimit({limitBytes: 8 * MIB, clock: limits, log: createLogger('test', undefined)});
  scope.onEnd(() => unread.close());
  const upstream = new UpstreamJoin(new TcpUpstream({host: '127.0.0.1', port}), {
    reads: new SocketReads(new BlockPool()),
    unread,
  });
  const ends: (string | undefined)[] = [];
  const peers = new Peers({
    onOpen: (_side, stream) =>
      upstream.visit({stream, from: '192.0.2.1:1', onOpen: () => {}, onDone: (code) => void ends.push(code)}),
  });
  const [agent, relay] = createPipe();
  await peers.connect({agent, relay});
  const visitors = new Set<Stream>();
  const come = () => {
    const stream = peers.session('relay').open(KIND.visitor, {}) as Stream;
    visitors.add(stream);
    stream.sink = {
      onData: () => {},
      onEnd: () => {},
      onWritable: () => void stream.write(Buffer.alloc(256 * 1024)),
      onReset: () => void visitors.delete(stream),
    };
    // More than the kernel accepts for a program that does not read.
    for (let i = 0; i < 40; i += 1) stream.write(Buffer.alloc(256 * 1024));
  };
  for (let i = 0; i < 60; i += 1) come();
  const unreadNow = () => [...visitors].reduce((sum, {heldBytes}) => sum + heldBytes, 0);
  for (let before = -1; before !== unreadNow(); ) {
    before = unreadNow();
    for (let i = 0; i < 50; i += 1) await turn();
  }
  limits.advance(1_000);
  limits.advance(1_000);
  for (let i = 0; i < 50; i += 1) await turn();
  expect(ends.length).toBeGreaterThan(10);
  expect(new Set(ends)).toEqual(new Set(['TOO_MUCH_UNREAD']));
  expect(visitors.size).toBe(60 - ends.length);
  expect(visitors.size).toBeGreaterThan(0);
  for (const stream of visitors) stream.reset('VISITOR_RESET');
});
