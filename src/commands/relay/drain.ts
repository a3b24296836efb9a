// `tunl relay drain`: ends a running relay in order, like SIGTERM.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {adminFlags, ask} from '../../lib/cli/relay-admin.js';

export default class RelayDrain extends BaseCommand {
  static override summary = 'End a relay when its open connections have finished.';
  static override usage = 'relay drain [FLAGS]';
  static override examples = ['<%= config.bin %> relay drain'];
  static override flags = adminFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(RelayDrain);
    const {pid, visitors} = await ask('drain', {pid: flags.pid});
    this.presenter.event({type: 'drains', pid: Number(pid), connections: Number(visitors)});
  }
}
