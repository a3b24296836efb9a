// The process that owns one detached sandbox. It ends with the sandbox, and a sandbox of bubblewrap ends with it.

import {json} from 'node:stream/consumers';
import {keepMemoryFlat} from '../../core/collect.js';
import {TunlError} from '../../core/errors.js';
import {beginServed} from '../begin.js';
import type {SandboxEvent} from '../events.js';
import {logTo} from './log-to.js';
import {failure, type Message, type Supervised} from './messages.js';

/** After a second signal nothing is waited for. */
const KILLED = 130;

// Only whoever started it has a channel: to load this file alone does nothing.
if (process.connected) {
  await supervise();
  process.exit();
}

async function supervise(): Promise<void> {
  // The terminal of whoever started it was closed.
  process.on('SIGHUP', () => {});
  keepMemoryFlat();
  try {
    const {id, command, options} = (await json(process.stdin)) as Supervised;
    const log = logTo(2);
    const onEvent = (event: SandboxEvent) => {
      if (event.type !== 'refused') return;
      const {host: name, port, why} = event;
      log({level: 'warn', scope: 'egress', message: `refused: ${name}:${port ?? '-'} (${why})`});
    };
    const {host, isReachable, closed} = await beginServed(command, {...options, log, onEvent}, {id});
    host.stdin.end();
    let isStopping = false;
    const stop = () => {
      if (isStopping) process.exit(KILLED);
      isStopping = true;
      void host.terminate();
    };
    process.on('SIGTERM', stop).on('SIGINT', stop);
    if (!isReachable) {
      await host.terminate();
      throw new TunlError('STATE_DIR', {reason: 'The state folder allows no sockets.'});
    }
    await say({ok: true});
    await host.started;
    await say({ok: true});
    if (process.connected) process.disconnect();
    await closed;
  } catch (error) {
    await say(failure(error));
  }
}

/** The process that started it may be gone. */
async function say(message: Message): Promise<void> {
  if (!process.connected) return;
  await new Promise<void>((resolve) => {
    process.send?.(message, undefined, undefined, () => resolve());
  });
}
