// The init of a sandbox: it runs inside, starts the processes that the host asks for, and dies with the session. Descriptor 3 is
// its only way to the host; with the argument --stdio, descriptors 0 and 1 are.

import {stat} from 'node:fs/promises';
import {Socket} from 'node:net';
import {keepMemoryFlat} from '../../core/collect.js';
import {dialInside} from './dials.js';
import {Processes} from './processes.js';
import {RealFiles} from './real-files.js';
import {serveStreams} from './serve.js';
import {stdioSocket} from './stdio-socket.js';

const HOST_FD = 3;

main();

function main(): void {
  // A process group that is signalled from inside must not take the init with it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => {});
  keepMemoryFlat();
  const processes = new Processes(process.env);
  const {session, ended} = serveStreams({
    socket: process.argv.includes('--stdio')
      ? stdioSocket()
      : new Socket({fd: HOST_FD, readable: true, writable: true}),
    services: {exec: processes.start, dial: dialInside, files: new RealFiles()},
  });
  void processes.prepare();
  // Node starts the threads for files on first use. Later there may be no room for threads.
  void stat('/')
    .catch(() => {})
    .then(() => session.sendControl({type: 'ready'}));
  void ended.then(() => process.exit(0));
}
