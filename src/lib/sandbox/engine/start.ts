// Starts a container and the sandbox's command in it. Whatever fails on the way leaves nothing behind.

import {setTimeout as wait} from 'node:timers/promises';
import {TunlError, toTunlError} from '../../core/errors.js';
import {printable} from '../../core/one-line.js';
import type {SandboxHandle, SandboxProcess} from '../backend.js';
import {connectInit, type InitClient} from '../init/init-client.js';
import type {EgressRules, SandboxLimits, SandboxSpec} from '../spec.js';
import {EngineError} from './api.js';
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
 * container's own monitor cleans up at the same time; the next try finds it removed. A container whose creation was given up may
 * appear after the first tries.
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
  const containerId = await createContainer(lease, plan, signal);
  const remove = async () => {
    init?.close();
    attached?.destroy();
    try {
      await removeContainer(lease, containerId);
    } finally {
      await network?.close();
    }
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
    await remove().catch(() => {});
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** An engine that has not answered may still be at it, and the name is all that is known of its container. */
async function createContainer(lease: Lease, plan: ContainerPlan, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  try {
    return await lease.engine.create(plan, signal);
  } catch (error) {
    if (!(error instanceof EngineError))
      await removeContainer(lease, plan.name, {isAwaited: true}).catch(() => {});
    throw error;
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

/**
 * Also after the death of the engine's service. What cannot be removed has no process any more.
 *
 * @param container its id or its name
 * @param options.isAwaited a container that does not exist may still come
 * @throws the error of the last try
 */
async function removeContainer(
  lease: Lease,
  container: string,
  {isAwaited = false}: {isAwaited?: boolean} = {},
): Promise<void> {
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        const now = await lease.again();
        const wasThere = await now.engine.remove(container).finally(() => now.release());
        if (wasThere || !isAwaited || tries >= REMOVE_TRIES) return;
      } catch (error) {
        if (tries >= REMOVE_TRIES) throw error;
      }
      await wait(REMOVE_EVERY_MS);
    }
  } finally {
    await lease.release();
  }
}
