// Relays inside this process, for tunnels without a relay: on loopback, one for all tunnels with one state folder. A relay
// ends with its last tunnel.

import {resolve} from 'node:path';
import type {LogRecord, LogSink} from './core/logger.js';
import type {Relay} from './relay/options.js';

export interface EmbeddedRelayOptions {
  stateDir: string;
  log: LogSink | undefined;
}

interface Embedded {
  relay: Promise<Relay>;
  /** One for each user; several users may have the same function. */
  users: Set<{log: LogSink | undefined}>;
}

export class EmbeddedRelays {
  readonly #byFolder = new Map<string, Embedded>();

  /** The caller must call `release` once; the last call closes the relay. */
  async borrow(options: EmbeddedRelayOptions): Promise<{relay: Relay; release: () => Promise<void>}> {
    const {log} = options;
    // One folder has one relay, in any spelling.
    const stateDir = resolve(options.stateDir);
    const embedded = this.#byFolder.get(stateDir) ?? this.#start(stateDir);
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

  #start(stateDir: string): Embedded {
    const users: Embedded['users'] = new Set();
    // Each sink once, however many tunnels have it.
    const log = (record: LogRecord) => {
      for (const sink of new Set([...users].map((user) => user.log))) sink?.(record);
    };
    const embedded = {relay: start(stateDir, log), users};
    this.#byFolder.set(stateDir, embedded);
    return embedded;
  }
}

async function start(stateDir: string, log: LogSink): Promise<Relay> {
  // Loaded only here: most tunnels use a relay elsewhere and should not wait for this code.
  const {startRelay} = await import('./relay/start.js');
  return await startRelay({
    domain: 'tunl.localhost',
    listen: '127.0.0.1:0',
    tcpPorts: [0, 0],
    keepLeases: false,
    // A token in the environment is for a relay elsewhere.
    token: '',
    stateDir,
    log,
  });
}
