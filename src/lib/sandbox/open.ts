// Finds sandboxes of this user that other processes own.

import {TunlError} from '../core/errors.js';
import {stateDir as usualStateDir} from '../core/state-dir.js';
import {RemoteSandbox} from './remote.js';
import {SandboxRoster} from './roster.js';

/**
 * By its id, its name, or the beginning of its id.
 *
 * @throws TunlError SANDBOX_UNKNOWN, SANDBOX_ENDED, SANDBOX_SILENT, STATE_DIR
 */
export async function findSandbox(word: string, stateDir = usualStateDir()): Promise<RemoteSandbox> {
  const roster = new SandboxRoster(stateDir);
  return await RemoteSandbox.open(roster, await roster.find(word));
}

/** Undefined: it does not exist, or has ended. @throws TunlError SANDBOX_SILENT, STATE_DIR */
export async function openSandbox(
  id: string,
  stateDir = usualStateDir(),
): Promise<RemoteSandbox | undefined> {
  try {
    return await findSandbox(id, stateDir);
  } catch (error) {
    if (error instanceof TunlError && (error.code === 'SANDBOX_UNKNOWN' || error.code === 'SANDBOX_ENDED'))
      return undefined;
    throw error;
  }
}

/** All that run here, oldest first. Those whose owner does not answer are left out. @throws TunlError STATE_DIR */
export async function openSandboxes(stateDir = usualStateDir()): Promise<RemoteSandbox[]> {
  const roster = new SandboxRoster(stateDir);
  const running = (await roster.all()).filter(({life}) => life === 'running');
  const opened = await Promise.all(
    running.map((each) => RemoteSandbox.open(roster, each).catch(() => undefined)),
  );
  return opened.filter((each) => each !== undefined);
}
