// The folder of the sockets through which the workers of a relay reach each other. Only the user of the relay may enter it.

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Logger} from '../../core/logger.js';
import {socketOf} from '../networks/peers.js';
import type {Part} from '../part.js';

export class PeersFolder implements Part {
  /** Undefined: it could not be made. */
  path: string | undefined;
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  async start(): Promise<void> {
    try {
      // With mode 0700.
      this.path = await mkdtemp(join(tmpdir(), 'tunl-relay-'));
    } catch (error) {
      this.#log.warn('members of a network cannot reach members at another worker', {reason: String(error)});
    }
  }

  /** A worker that was killed could not remove its socket. */
  left(worker: number): void {
    if (this.path !== undefined) void rm(socketOf(this.path, worker), {force: true}).catch(() => {});
  }

  async close(): Promise<void> {
    if (this.path !== undefined) await rm(this.path, {recursive: true, force: true});
  }
}
