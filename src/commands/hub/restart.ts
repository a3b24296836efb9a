// `tunl hub restart`: ends the program of a session and starts it again, at the same address.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {sessionEvent} from '../../lib/cli/hub/events.js';
import {stateDir} from '../../lib/core/state-dir.js';
import {askHubJson} from '../../lib/hub/operator.js';
import type {SessionView} from '../../lib/hub/session.js';

export default class HubRestart extends BaseCommand {
  static override summary = 'Start the programs of sessions again, with the same address and files.';
  static override usage = 'hub restart ID…';
  static override strict = false;
  static override examples = ['<%= config.bin %> hub restart s_7k2mq4ab'];
  static override args = {
    id: string({
      required: true,
      ignoreStdin: true,
      description: 'The ID in `tunl hub ps`; several are possible.',
    }),
  };

  async run(): Promise<void> {
    const {argv} = await this.parse(HubRestart);
    for (const id of argv as string[]) {
      const path = `/v1/sessions/${encodeURIComponent(id)}/restart`;
      this.presenter.event(sessionEvent(await askHubJson<SessionView>(stateDir(), 'POST', path)));
    }
  }
}
