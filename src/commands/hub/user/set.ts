// `tunl hub user set`: changes the quota of a user.

import {BaseCommand} from '../../../lib/cli/base-command.js';
import {userEvent} from '../../../lib/cli/hub/events.js';
import {quotaFlag, userArg} from '../../../lib/cli/hub/user-flags.js';
import {TunlError} from '../../../lib/core/errors.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {HubUsers} from '../../../lib/hub/users.js';

export default class HubUserSet extends BaseCommand {
  static override summary = 'Change the quota of a user.';
  static override usage = 'hub user set NAME --quota NUMBER';
  static override examples = ['<%= config.bin %> hub user set ana --quota 5'];
  static override args = userArg;
  static override flags = quotaFlag;

  async run(): Promise<void> {
    const {args, flags} = await this.parse(HubUserSet);
    if (flags.quota === undefined)
      throw new TunlError('USAGE', {reason: '`tunl hub user set` needs --quota NUMBER.'});
    this.presenter.event(userEvent(await new HubUsers(stateDir()).set(args.name, flags.quota), 'changed'));
  }
}
