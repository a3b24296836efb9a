// `tunl hub ps`: shows the sessions of the hub on this machine, and what keeps each one.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {sessionEvent} from '../../lib/cli/hub/events.js';
import {SESSION_HEADING} from '../../lib/cli/hub/wording.js';
import {stateDir} from '../../lib/core/state-dir.js';
import {askHubJson} from '../../lib/hub/operator.js';
import type {SessionView} from '../../lib/hub/session.js';

export default class HubPs extends BaseCommand {
  static override summary = 'Show the sessions of the hub on this machine, and what keeps them.';
  static override usage = 'hub ps [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> hub ps',
      '<%= config.bin %> hub ps --all',
      '<%= config.bin %> hub ps --json | jq -r .id',
    ].join('\n'),
  ];
  static override flags = {
    all: boolean({char: 'a', summary: 'Also those that ended within a day, and why.'}),
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(HubPs);
    const views = await askHubJson<SessionView[]>(stateDir(), 'GET', '/v1/sessions?all=true');
    const shown = views.filter(({endedAt}) => flags.all || endedAt === undefined);
    // stdout has the rows alone, for scripts.
    if (shown.length > 0) this.presenter.tell({tone: 'faint', text: SESSION_HEADING});
    for (const view of shown) this.presenter.event(sessionEvent(view));
    if (shown.length > 0) return;
    const hint = views.length > 0 ? ' `tunl hub ps --all` shows those that ended.' : '';
    this.presenter.tell({tone: 'plain', text: `No session runs.${hint}`});
  }
}
