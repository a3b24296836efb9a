// The init of a sandbox as a plain child process, without any sandbox, and pairs of sockets for one that is played by the test.
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import type {Readable} from 'node:stream';
import {finished} from 'node:stream/promises';
import {fileURLToPath} from 'node:url';
import {
  type ConnectInitOptions,
  connectInit,
  type InitClient,
} from '../../src/lib/sandbox/init/init-client.js';
import type {Scope} from './scope.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface StartedInit {
  init: InitClient;
  child: ChildProcess;
}

/** Ready. It runs from the sources. @param openFiles the most descriptors that it may have. */
export async function startInit(
  scope: Scope,
  {openFiles, ...options}: ConnectInitOptions & {openFiles?: number} = {},
): Promise<StartedInit> {
  const command = [
    process.execPath,
    '--import',
    join(root, 'test/helpers/ts-hook.js'),
    join(root, 'src/lib/sandbox/init/main.ts'),
  ];
  const limit = openFiles === undefined ? '' : `ulimit -n ${openFiles}; `;
  const child = spawn('sh', ['-c', `${limit}exec "$@"`, 'sh', ...command], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: {PATH: process.env.PATH, HOME: '/'},
  });
  const exited = once(child, 'exit');
  const init = connectInit(child.stdio[3] as Socket, options);
  scope.onEnd(async () => {
    init.close();
    await exited;
  });
  await init.ready;
  return {init, child};
}

/** Two ends of a Unix socket. */
export async function socketPair(scope: Scope): Promise<readonly [Socket, Socket]> {
  const path = join(await scope.tempDir('pair'), 's');
  const server = createServer({allowHalfOpen: true});
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const near = connect({path, allowHalfOpen: true});
  const [far] = await accepted;
  server.close();
  scope.onEnd(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

/** Iterating over a Duplex would destroy it at the end of its readable side, in older versions of Node. */
export async function textOf(readable: Readable): Promise<string> {
  const pieces: Buffer[] = [];
  readable.on('data', (piece: Buffer) => pieces.push(piece));
  await finished(readable, {writable: false});
  return Buffer.concat(pieces).toString();
}
