// Starts a container and the sandbox's command in it. Whatever fails on the way leaves nothing behind.

import {setTimeout as wait} from 'node:timers/promises';
import {TunlError, toTunlError} from '../../core/errors.js';
import {printable} from '../../core/one-line.js';
import type {SandboxHandle, SandboxProcess} from '../backend.js';
import {connectInit, type InitClient} from '../init/init-client.js';
import type {EgressRules, SandboxLimits, SandboxSpec} from '../spec.js';
import type {Attached} from './attached.js';
import {EngineHandle, withDefaults} from './handle.js';
import {ContainerNetwork} from './network.js';
import {oomFiles} from './oom.js';
import type {Lease} from './open-engine.js';
import {type CommandDefaults, type ContainerPlan, HOME} from './plan.js';

export interface StartOptions {
  readonly lease: Lease;
  readonly plan: ContainerPlan;
  readonly defaults: CommandDefaults;
  readonly command: readonly string[];
  readonly unreal: readonly (keyof SandboxLimits)[];
  readonly egress: EgressRules;
  readonly onRefused: SandboxSpec['onRefused'];
  readonly signal: AbortSignal | undefined;
}

/**
 * An engine that restarts gets 2 s before its container is left for the next sweep. Podman 4 also fails now and then when the
 * container's own monitor cleans up at the same time; the next try finds it removed.
 */
const REMOVE_TRIES = 20;
const REMOVE_EVERY_MS = 100;

/** @throws TunlError SANDBOX_FAILED, SANDBOX_COMMAND, SANDBOX_LIMIT; the reason of `signal` */
export async function startContainer(options: StartOptions): Promise<SandboxHandle> {
  const {lease, plan, defaults, command, unreal, signal} = options;
  const {engine} = lease;
  let attached: Attached | undefined;
  let init: InitClient | undefined;
  let network: ContainerNetwork | undefined;
  const onAbort = () => attached?.destroy();
  const containerId = await engine.create(plan, signal);
  const remove = async () => {
    init?.close();
    attached?.destroy();
    await removeContainer(lease, containerId);
    await network?.close();
  };
  try {
    attached = await engine.attach(containerId, signal);
    await engine.start(containerId, signal);
    signal?.addEventListener('abort', onAbort, {once: true});
    init = connectInit(attached.asSocket);
    const [{pid}] = await Promise.all([
      engine.state(containerId),
      init.ready.catch((error: unknown) => failed(error, attached)),
    ]);
    const sealed = new ContainerNetwork({pid, onLost: onAbort, onRefused: options.onRefused});
    network = sealed;
    const [files] = await Promise.all([oomFiles(pid), sealed.setRules(options.egress, signal)]);
    const main = await startCommand(init, command, defaults);
    return new EngineHandle({
      engine,
      containerId,
      attached,
      init,
      main,
      defaults,
      unreal,
      oomFiles: files,
      setEgress: (rules) => sealed.setRules(rules),
      remove,
    });
  } catch (error) {
    await remove();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

async function startCommand(
  init: InitClient,
  command: readonly string[],
  defaults: CommandDefaults,
): Promise<SandboxProcess> {
  await init.files.makeFolder(HOME, {mode: 0o700});
  return init.exec(withDefaults({command}, defaults));
}

/** The last words of the init say more than the end of its connection. */
function failed(error: unknown, attached: Attached | undefined): never {
  const words = attached?.lastWords.split('\n').at(-1) ?? '';
  if (words === '') throw error;
  throw new TunlError('SANDBOX_FAILED', {
    reason: `${toTunlError(error).message} ${printable(words)}`,
    cause: error,
  });
}

/** Also after the death of the engine's service. What cannot be removed has no process any more, and the next sweep finds it. */
async function removeContainer(lease: Lease, containerId: string): Promise<void> {
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        const now = await lease.again();
        await now.engine.remove(containerId).finally(() => now.release());
        return;
      } catch {
        if (tries === REMOVE_TRIES) return;
        await wait(REMOVE_EVERY_MS);
      }
    }
  } finally {
    await lease.release();
  }
}
