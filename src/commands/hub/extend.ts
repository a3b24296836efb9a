// `tunl hub extend`: lengthens the life of a session.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {sessionEvent} from '../../lib/cli/hub/events.js';
import {stateDir} from '../../lib/core/state-dir.js';
import {askHubJson} from '../../lib/hub/operator.js';
import type {SessionView} from '../../lib/hub/session.js';

export default class HubExtend extends BaseCommand {
  static override summary = 'Lengthen the life of a session.';
  static override usage = 'hub extend ID TIME';
  static override examples = ['<%= config.bin %> hub extend s_7k2mq4ab 2h'];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID in `tunl hub ps`.'}),
    time: string({required: true, ignoreStdin: true, description: 'Added to its life, like 2h.'}),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(HubExtend);
    const path = `/v1/sessions/${encodeURIComponent(args.id)}/extend`;
    this.presenter.event(
      sessionEvent(await askHubJson<SessionView>(stateDir(), 'POST', path, {for: args.time})),
    );
  }
}
