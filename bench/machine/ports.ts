// Ports for programs that need a number.

import {connect, createServer} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {portOf} from '../../test/helpers/scope.js';

const loopback = '127.0.0.1';

/** Different ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({length: count}, () => createServer());
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, loopback, resolve));
  }
  const ports = servers.map(portOf);
  for (const server of servers) await new Promise<void>((resolve) => server.close(() => resolve()));
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error('no free port');
  return port;
}

/** Resolves when something accepts there, for programs that do not report when they listen. */
export async function accepting(
  port: number,
  {host = loopback, timeoutMs = 10_000}: {host?: string; timeoutMs?: number} = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await accepts(port, host))) {
    if (performance.now() > deadline)
      throw new Error(`nothing accepts on port ${port} after ${timeoutMs} ms`);
    await sleep(5);
  }
}

function accepts(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
