// The upstream of one visitor: what becomes of a dial that nobody waits for any more.

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {expect} from 'vitest';
import {Upstream} from '../../../src/lib/agent/upstream.js';
import {SocketReads} from '../../../src/lib/bytes/socket-reads.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** Listens, accepts nothing and says its port: once its backlog is full, who dials it waits. */
const DEAF = `
  const server = require('node:net').createServer();
  server.listen({port: 0, host: '127.0.0.1', backlog: 1}, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

async function deafPort(scope: Scope): Promise<number> {
  const child = spawn(process.execPath, ['-e', DEAF], {stdio: ['ignore', 'pipe', 'inherit']});
  scope.onEnd(() => void child.kill('SIGKILL'));
  const port = Number(String((await once(child.stdout, 'data'))[0]));
  for (let i = 0; i < 2; i += 1) {
    const socket = connect(port, '127.0.0.1');
    scope.onEnd(() => void socket.destroy());
    await once(socket, 'connect');
  }
  return port;
}

const SYN_SENT = '02';

/** Connections to `port` of this machine that are not answered, as the kernel counts them. */
function dials(port: number): number {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/self/net/tcp', 'latin1').split('\n');
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , to, state]) => to?.endsWith(remote) && state === SYN_SENT).length;
}

// The kernel's table is Linux's.
test.runIf(process.platform === 'linux')(
  'a visitor who leaves while the upstream is dialled ends the dial',
  async ({scope}) => {
    const port = await deafPort(scope);
    const upstream = new Upstream({host: '127.0.0.1', port}, new SocketReads(new BlockPool()));
    const stream = {sink: undefined as StreamSink | undefined};
    const done = Promise.withResolvers<string | undefined>();
    upstream.visit({stream: stream as unknown as Stream, onOpen: () => {}, onDone: done.resolve});
    while (dials(port) === 0) await new Promise((resolve) => setImmediate(resolve));
    stream.sink?.onReset('VISITOR_RESET');
    expect(await done.promise).toBe('VISITOR_RESET');
    for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(dials(port)).toBe(0);
  },
);
