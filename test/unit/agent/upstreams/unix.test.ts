// A Unix socket as an upstream: the kernel's table, and a full queue.

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFileSync} from 'node:fs';
import {connect, createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import {UnixUpstream} from '../../../../src/lib/agent/upstreams/unix.js';
import {SocketReads} from '../../../../src/lib/bytes/socket-reads.js';
import type {Splice} from '../../../../src/lib/bytes/splice.js';
import {BlockPool} from '../../../../src/lib/mux/blocks.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

/** Listens at argv[1] and accepts nothing before a line on stdin. */
const SLOW = `
  const server = require('node:net').createServer((socket) => socket.end('hello'));
  server.listen({path: process.argv[1], backlog: 1}, () => {
    const fs = require('node:fs');
    fs.writeSync(1, 'up');
    fs.readSync(0, Buffer.alloc(1));
  });
`;

function dialled(scope: Scope, upstream: UnixUpstream): Promise<Socket> {
  const reads = new SocketReads(new BlockPool());
  const splice = {read: () => true} as unknown as Splice;
  return new Promise((resolve, reject) => {
    upstream.dial({
      reader: () => reads.for(splice),
      onOpen: ({socket}) => {
        scope.onEnd(() => void socket.destroy());
        resolve(socket as Socket);
      },
      onFailed: reject,
    });
  });
}

test('it is probed, and looked up in the kernel’s table', async ({scope}) => {
  // With a space and a letter of two bytes, which paths may have.
  const path = join(await scope.tempDir('sock et-ü'), 'app.sock');
  const upstream = new UnixUpstream(path);
  const isLinux = process.platform === 'linux';
  expect(await upstream.listenState()).toBe(isLinux ? 'nobody' : 'unknown');
  expect(await upstream.probe()).toMatchObject({code: 'ENOENT'});
  const server = createServer((socket) => socket.on('error', () => {}));
  server.listen(path);
  await once(server, 'listening');
  expect(await upstream.listenState()).toBe(isLinux ? 'listening' : 'unknown');
  expect(await upstream.probe()).toBeUndefined();
  await new Promise((resolve) => server.close(resolve));
  expect(await upstream.listenState()).toBe(isLinux ? 'nobody' : 'unknown');
  writeFileSync(path, '');
  expect(await upstream.probe()).toMatchObject({code: 'ECONNREFUSED'});
});

// a full queue makes the dial wait
test.runIf(process.platform === 'linux')('a full queue is waited for', async ({scope}) => {
  const path = join(await scope.tempDir('full'), 'app.sock');
  const child = spawn(process.execPath, ['-e', SLOW, path], {stdio: ['pipe', 'pipe', 'inherit']});
  scope.onEnd(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  // Until the kernel says that the queue is full.
  for (;;) {
    const filler = connect(path);
    scope.onEnd(() => void filler.destroy());
    const full = await new Promise<boolean>((resolve) => {
      filler.once('connect', () => resolve(false));
      filler.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'));
    });
    if (full) break;
  }
  const socket = dialled(scope, new UnixUpstream(path));
  child.stdin.write('\n');
  expect((await socket).connecting).toBe(false);
});

test('a cancelled dial is closed, and reports nothing', async ({scope}) => {
  const path = join(await scope.tempDir('given-up'), 'app.sock');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  scope.onEnd(() => void server.close());
  const reads = new SocketReads(new BlockPool());
  const stop = new UnixUpstream(path).dial({
    reader: () => reads.for({} as Splice),
    onOpen: () => expect.fail('opened'),
    onFailed: () => expect.fail('failed'),
  });
  const accepted = once(server, 'connection');
  stop();
  const [socket] = (await accepted) as [Socket];
  socket.resume();
  await once(socket, 'close');
});
