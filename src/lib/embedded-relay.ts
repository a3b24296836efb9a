// Relays inside this process, for tunnels without a relay: on loopback, one for all tunnels with one state folder. A relay
// ends with its last tunnel.

import {resolve} from 'node:path';
import {TunlError} from './core/errors.js';
import type {LogRecord, LogSink} from './core/logger.js';
import type {RunningRelay} from './relay/running-relay.js';
import {usualPorts} from './usual-ports.js';

export interface EmbeddedRelayOptions {
  log: LogSink | undefined;
  stateDir: string;
  /** The target of the caller: the same command in the same folder gets the same port. */
  what: string;
}

interface Embedded {
  relay: Promise<RunningRelay>;
  /** One for each user; several users may have the same function. */
  users: Set<{log: LogSink | undefined}>;
}

export class EmbeddedRelays {
  readonly #byFolder = new Map<string, Embedded>();

  /** The caller must call `release` once; the last call closes the relay. */
  async borrow(options: EmbeddedRelayOptions): Promise<{relay: RunningRelay; release: () => Promise<void>}> {
    const {log, what} = options;
    // One folder has one relay, in any spelling.
    const stateDir = resolve(options.stateDir);
    const embedded = this.#byFolder.get(stateDir) ?? this.#start(stateDir, what);
    const user = {log};
    embedded.users.add(user);
    const forget = () => {
      if (this.#byFolder.get(stateDir) === embedded) this.#byFolder.delete(stateDir);
    };
    const release = async () => {
      embedded.users.delete(user);
      if (embedded.users.size > 0) return;
      forget();
      await (await embedded.relay).close();
    };
    try {
      return {relay: await embedded.relay, release};
    } catch (error) {
      forget();
      throw error;
    }
  }

  #start(stateDir: string, what: string): Embedded {
    const users: Embedded['users'] = new Set();
    // Each sink once, however many tunnels have it.
    const log = (record: LogRecord) => {
      for (const sink of new Set([...users].map((user) => user.log))) sink?.(record);
    };
    const embedded = {relay: start({stateDir, what, log}), users};
    this.#byFolder.set(stateDir, embedded);
    return embedded;
  }
}

async function start({stateDir, what, log}: EmbeddedRelayOptions): Promise<RunningRelay> {
  // Loaded only here: most tunnels use a relay elsewhere and should not wait for this code.
  const {startRunningRelay} = await import('./relay/start.js');
  const at = async (port: number) =>
    await startRunningRelay({
      domain: 'tunl.localhost',
      listen: `127.0.0.1:${port}`,
      tcpPorts: [0, 0],
      keepLeases: false,
      // Each tunnel is probed by its agent, which is in this process as well.
      probe: false,
      // A token in the environment is for a relay elsewhere.
      token: '',
      tokenRegistry: false,
      stateDir,
      ...(log && {log}),
    });
  for (const port of usualPorts('relay', stateDir, what)) {
    try {
      return await at(port);
    } catch (error) {
      if (!(error instanceof TunlError) || error.code !== 'LISTEN_IN_USE') throw error;
    }
  }
  return await at(0);
}
