// `tunl hub stop`: ends sessions.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {askForSessions, SESSION_IDS} from '../../lib/cli/hub/session-ids.js';

export default class HubStop extends BaseCommand {
  static override summary = 'Stop sessions of the hub on this machine.';
  static override usage = 'hub stop ID…';
  static override strict = false;
  static override examples = ['<%= config.bin %> hub stop s_7k2mq4ab'];
  static override args = SESSION_IDS;

  async run(): Promise<void> {
    const {argv} = await this.parse(HubStop);
    await askForSessions(this.presenter, argv, 'DELETE');
  }
}
