// The isolation programs, each loaded when it is needed.

import {TunlError} from '../core/errors.js';
import type {BackendName, SandboxBackend} from './backend.js';

export const BACKEND_NAMES: readonly BackendName[] = ['bubblewrap', 'podman', 'docker'];

/** By name. `auto` chooses among them: choose.ts. */
const BACKENDS: Readonly<Partial<Record<BackendName, () => Promise<SandboxBackend>>>> = {
  bubblewrap: async () => new (await import('./bubblewrap/backend.js')).BubblewrapBackend(),
  podman: async () => new (await import('./engine/backend.js')).EngineBackend('podman'),
  docker: async () => new (await import('./engine/backend.js')).EngineBackend('docker'),
};

/** @throws TunlError SANDBOX_BACKEND */
export async function openBackend(name: BackendName): Promise<SandboxBackend> {
  const open = BACKENDS[name];
  if (open !== undefined) return await open();
  throw new TunlError('SANDBOX_BACKEND', {reason: `This version of tunl cannot use ${name}.`});
}
