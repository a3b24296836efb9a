// `tunl hub restart`: ends the program of a session and starts it again, at the same address.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {askForSessions, SESSION_IDS} from '../../lib/cli/hub/session-ids.js';

export default class HubRestart extends BaseCommand {
  static override summary = 'Start the programs of sessions again, with the same address and files.';
  static override usage = 'hub restart ID…';
  static override strict = false;
  static override examples = ['<%= config.bin %> hub restart s_7k2mq4ab'];
  static override args = SESSION_IDS;

  async run(): Promise<void> {
    const {argv} = await this.parse(HubRestart);
    await askForSessions(this.presenter, argv, 'POST', '/restart');
  }
}
