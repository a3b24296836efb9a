// `tunl relay status`: shows a running relay, its egresses and networks, and the sessions of its agents with their tunnels.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {adminFlags, ask, statusEvents} from '../../lib/cli/relay-admin.js';

export default class RelayStatus extends BaseCommand {
  static override summary = 'Show a running relay and its sessions.';
  static override usage = 'relay status [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> relay status',
      '<%= config.bin %> relay status --json | jq -r \'select(.type == "session").owner\'',
    ].join('\n'),
  ];
  static override flags = adminFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(RelayStatus);
    const {relay, egresses, networks, sessions} = statusEvents(await ask('status', {pid: flags.pid}));
    for (const event of [relay, ...egresses, ...networks]) this.presenter.event(event);
    // stdout has the rows alone, for scripts.
    if (sessions.length > 0)
      this.presenter.tell({tone: 'faint', text: 'SESSION   OWNER  FROM  TUNNELS  VISITORS  IN  OUT'});
    for (const session of sessions) this.presenter.event(session);
  }
}
