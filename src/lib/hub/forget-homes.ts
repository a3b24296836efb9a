// Removes the files of a user, after the sessions that use them have ended.

import {TunlError} from '../core/errors.js';
import {openSandbox} from '../sandbox/open.js';
import {Homes} from './homes.js';
import {askHubJson} from './operator.js';
import {isFinal, type SessionRecord} from './session.js';
import {SessionFolder} from './session-folder.js';
import type {HubUser} from './users.js';

/** @throws TunlError HUB_HOME, STATE_DIR, or the refusal of the hub */
export async function forgetHomes(stateDir: string, user: HubUser): Promise<void> {
  const folder = await SessionFolder.open(stateDir);
  const own = (await folder.readAll()).filter(({userId, state}) => userId === user.id && !isFinal(state));
  for (const record of own) await end(stateDir, record);
  await new Homes(stateDir).forget(user.id);
}

async function end(stateDir: string, {id, sandboxId}: SessionRecord): Promise<void> {
  try {
    await askHubJson(stateDir, 'DELETE', `/v1/sessions/${id}`);
  } catch (error) {
    if (!(error instanceof TunlError) || (error.code !== 'HUB_AWAY' && error.code !== 'HUB_SESSION_UNKNOWN'))
      throw error;
  }
  // Sessions run on without their hub.
  const sandbox = sandboxId === undefined ? undefined : await openSandbox(sandboxId, stateDir);
  await sandbox?.terminate();
  sandbox?.[Symbol.dispose]?.();
}
