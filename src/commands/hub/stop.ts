// `tunl hub stop`: ends sessions.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {sessionEvent} from '../../lib/cli/hub/events.js';
import {stateDir} from '../../lib/core/state-dir.js';
import {askHubJson} from '../../lib/hub/operator.js';
import type {SessionView} from '../../lib/hub/session.js';

export default class HubStop extends BaseCommand {
  static override summary = 'Stop sessions of the hub on this machine.';
  static override usage = 'hub stop ID…';
  static override strict = false;
  static override examples = ['<%= config.bin %> hub stop s_7k2mq4ab'];
  static override args = {
    id: string({
      required: true,
      ignoreStdin: true,
      description: 'The ID in `tunl hub ps`; several are possible.',
    }),
  };

  async run(): Promise<void> {
    const {argv} = await this.parse(HubStop);
    for (const id of argv as string[]) {
      const path = `/v1/sessions/${encodeURIComponent(id)}`;
      this.presenter.event(sessionEvent(await askHubJson<SessionView>(stateDir(), 'DELETE', path)));
    }
  }
}
