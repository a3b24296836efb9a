// `tunl list`: the tunnels that run in the background.

import {BaseCommand} from '../lib/cli/base-command.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

export default class List extends BaseCommand {
  static override summary = 'Show the tunnels in the background.';
  static override usage = 'list [FLAGS]';
  static override examples = [
    ['<%= config.bin %> list', '<%= config.bin %> list --json | jq -r \'.id + " " + .address\''].join('\n'),
  ];

  async run(): Promise<void> {
    await this.parse(List);
    const tunnels = await new Roster(stateDir()).living();
    for (const {processStart, system, command, ...tunnel} of tunnels) {
      this.presenter.event({type: 'tunnel', ...tunnel, command: command.join(' ')});
    }
    if (tunnels.length === 0) this.presenter.tell({tone: 'plain', text: 'No tunnel runs in the background.'});
  }
}
