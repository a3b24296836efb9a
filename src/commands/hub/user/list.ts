// `tunl hub user list`: shows the users of the hub on this machine.

import {BaseCommand} from '../../../lib/cli/base-command.js';
import {userEvent} from '../../../lib/cli/hub/events.js';
import {USER_HEADING} from '../../../lib/cli/hub/wording.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {HubUsers} from '../../../lib/hub/users.js';

export default class HubUserList extends BaseCommand {
  static override summary = 'Show the users of the hub on this machine.';
  static override usage = 'hub user list';
  static override examples = ['<%= config.bin %> hub user list'];

  async run(): Promise<void> {
    await this.parse(HubUserList);
    const users = await new HubUsers(stateDir()).list();
    // stdout has the rows alone, for scripts.
    if (users.length > 0) this.presenter.tell({tone: 'faint', text: USER_HEADING});
    for (const user of users) this.presenter.event(userEvent(user, 'listed'));
    if (users.length === 0) this.presenter.tell({tone: 'plain', text: 'There is no user.'});
  }
}
