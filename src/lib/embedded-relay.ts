// The relay inside this process, for when none was given: on loopback, one for all tunnels, gone with the last of them.

import type {LogSink} from './core/logger.js';
import type {Relay} from './relay/options.js';

export interface EmbeddedRelayOptions {
  stateDir?: string;
  log?: LogSink;
}

let current: {relay: Promise<Relay>; users: number} | undefined;

/** `release` is due once; the last one closes the relay. */
export async function borrowEmbeddedRelay(
  options: EmbeddedRelayOptions,
): Promise<{relay: Relay; release: () => Promise<void>}> {
  current ??= {relay: start(options), users: 0};
  const mine = current;
  mine.users += 1;
  const release = async () => {
    mine.users -= 1;
    if (mine.users > 0) return;
    if (current === mine) current = undefined;
    await (await mine.relay).close();
  };
  try {
    return {relay: await mine.relay, release};
  } catch (error) {
    if (current === mine) current = undefined;
    throw error;
  }
}

async function start(options: EmbeddedRelayOptions): Promise<Relay> {
  // Loaded only here: most tunnels use a relay elsewhere and should not wait for this one's code.
  const {startRelay} = await import('./relay/start.js');
  return await startRelay({
    domain: 'tunl.localhost',
    listen: '127.0.0.1:0',
    tcpPorts: [0, 0],
    keepLeases: false,
    // A token that happens to be in the environment is for the relay elsewhere.
    token: '',
    ...(options.stateDir === undefined ? {} : {stateDir: options.stateDir}),
    ...(options.log === undefined ? {} : {log: options.log}),
  });
}
