// A port of this machine where dials wait for ever, as at a host that is silent.

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {connect} from 'node:net';
import type {Scope} from './scope.js';

/** Listens, accepts nothing and prints its port: when its backlog is full, a dial waits. */
const DEAF = `
  const server = require('node:net').createServer();
  server.listen({port: 0, host: '127.0.0.1', backlog: 1}, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

export async function deafPort(scope: Scope): Promise<number> {
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
