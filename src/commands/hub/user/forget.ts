// `tunl hub user forget`: removes the files of a user.

import {BaseCommand} from '../../../lib/cli/base-command.js';
import {userEvent} from '../../../lib/cli/hub/events.js';
import {userArg} from '../../../lib/cli/hub/user-flags.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {forgetHomes} from '../../../lib/hub/forget-homes.js';
import {HubUsers} from '../../../lib/hub/users.js';

export default class HubUserForget extends BaseCommand {
  static override summary = 'End the sessions of a user, and remove the files in all homes of the user.';
  static override description =
    'Also for a user who was removed: by the name, or by the ID if several had the name.';
  static override usage = 'hub user forget NAME';
  static override examples = ['<%= config.bin %> hub user forget ana'];
  static override args = userArg;

  async run(): Promise<void> {
    const {args} = await this.parse(HubUserForget);
    const state = stateDir();
    const user = await new HubUsers(state).findEver(args.name);
    await forgetHomes(state, user);
    this.presenter.event(userEvent(user, 'forgotten'));
  }
}
