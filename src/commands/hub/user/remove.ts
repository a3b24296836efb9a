// `tunl hub user remove`: removes a user and revokes the tokens. The files stay.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../../lib/cli/base-command.js';
import {userEvent} from '../../../lib/cli/hub/events.js';
import {userArg} from '../../../lib/cli/hub/user-flags.js';
import {systemClock} from '../../../lib/core/clock.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {forgetHomes} from '../../../lib/hub/forget-homes.js';
import {HubTokens} from '../../../lib/hub/tokens.js';
import {HubUsers} from '../../../lib/hub/users.js';

export default class HubUserRemove extends BaseCommand {
  static override summary = 'Remove a user and revoke the tokens; the files stay.';
  static override usage = 'hub user remove NAME [FLAGS]';
  static override examples = ['<%= config.bin %> hub user remove ana'];
  static override args = userArg;
  static override flags = {
    'forget-home': boolean({summary: 'End the sessions now, and remove the files as well.'}),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(HubUserRemove);
    const state = stateDir();
    const user = await new HubUsers(state).remove(args.name);
    await new HubTokens(state, systemClock).revokeOf(user.id);
    if (flags['forget-home']) await forgetHomes(state, user);
    this.presenter.event(userEvent(user, flags['forget-home'] ? 'forgotten' : 'removed'));
  }
}
