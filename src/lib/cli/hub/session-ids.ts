// Commands for some sessions of the hub on this machine, named by their ids.

import {string} from '@oclif/core/args';
import {stateDir} from '../../core/state-dir.js';
import {askHubJson} from '../../hub/operator.js';
import type {SessionView} from '../../hub/session.js';
import type {Presenter} from '../presenter.js';
import {sessionEvent} from './events.js';

export const SESSION_IDS = {
  id: string({
    required: true,
    ignoreStdin: true,
    description: 'The ID in `tunl hub ps`; several are possible.',
  }),
};

/** One request for each session, in order. @param action the last part of the path, such as `/restart` */
export async function askForSessions(
  presenter: Pick<Presenter, 'event'>,
  ids: readonly unknown[],
  method: 'POST' | 'DELETE',
  action = '',
): Promise<void> {
  for (const id of ids) {
    const path = `/v1/sessions/${encodeURIComponent(String(id))}${action}`;
    presenter.event(sessionEvent(await askHubJson<SessionView>(stateDir(), method, path)));
  }
}
