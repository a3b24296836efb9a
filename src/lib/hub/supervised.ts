// The sandboxes of a hub: each under a supervisor of its own, with its tunnel at the hub's relay.

import type {ForwardOptions} from '../agent/options.js';
import {toTunlError} from '../core/errors.js';
import type {LogPiece, SandboxControl, SandboxEnd} from '../sandbox/control.js';
import {newSandboxId} from '../sandbox/ids.js';
import {keptOutput} from '../sandbox/kept-output.js';
import {openSandbox} from '../sandbox/open.js';
import type {SandboxOptions} from '../sandbox/options.js';
import {SandboxRoster} from '../sandbox/roster.js';
import {stopSandbox} from '../sandbox/stop-owner.js';
import {startSupervisor} from '../sandbox/supervisor/start.js';
import type {HubSandboxes, SandboxWish} from './sandboxes.js';

/** The relay and how to reach it. */
export type Connection = Pick<
  ForwardOptions,
  'relay' | 'context' | 'token' | 'tokenFile' | 'caFile' | 'maxRetryTimeMs'
>;

export class SupervisedSandboxes implements HubSandboxes {
  readonly #stateDir: string;
  readonly #connection: Connection;

  constructor(stateDir: string, connection: Connection) {
    this.#stateDir = stateDir;
    this.#connection = connection;
  }

  async start(wish: SandboxWish): Promise<SandboxControl> {
    const {command, port, label, limits, backend, image, runtime, egress, mounts, env, workdir} = wish;
    const options = {
      ...this.#connection,
      stateDir: this.#stateDir,
      encryptedPorts: [port],
      names: {[port]: label},
      backend,
      image,
      runtime,
      memory: limits.memoryBytes,
      cpu: limits.cpus,
      pids: limits.pids,
      disk: limits.diskBytes,
      openFiles: limits.openFiles,
      bestEffort: wish.bestEffort,
      egress,
      mounts,
      env,
      workdir,
      timeoutMs: wish.timeoutMs,
      hostUid: wish.hostUid,
    };
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    return await startSupervisor(command, Object.fromEntries(given) as SandboxOptions, wish.id);
  }

  newId(): string {
    return newSandboxId();
  }

  async endOf(id: string): Promise<SandboxEnd | undefined> {
    return await new SandboxRoster(this.#stateDir).find(id).then(
      ({journal}) => journal.end,
      () => undefined,
    );
  }

  async open(id: string): Promise<SandboxControl | undefined> {
    return await openSandbox(id, this.#stateDir);
  }

  async end(id: string): Promise<void> {
    const roster = new SandboxRoster(this.#stateDir);
    try {
      const listed = await roster.find(id);
      if (listed.life !== 'ended') await stopSandbox(roster, listed);
    } catch (error) {
      const {code} = toTunlError(error);
      if (code !== 'SANDBOX_UNKNOWN' && code !== 'SANDBOX_ENDED') throw error;
    }
  }

  async outputOf(id: string): Promise<readonly LogPiece[]> {
    return await keptOutput(new SandboxRoster(this.#stateDir).folderOf(id));
  }
}
