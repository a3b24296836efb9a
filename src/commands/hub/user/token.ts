// `tunl hub user token`: makes a further token for a user, or replaces all of them.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../../lib/cli/base-command.js';
import {userEvent} from '../../../lib/cli/hub/events.js';
import {userArg} from '../../../lib/cli/hub/user-flags.js';
import {systemClock} from '../../../lib/core/clock.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {ADMIN, HubTokens, SESSIONS} from '../../../lib/hub/tokens.js';
import {HubUsers} from '../../../lib/hub/users.js';

export default class HubUserToken extends BaseCommand {
  static override summary = 'Make a further token for a user; it is shown once.';
  static override usage = 'hub user token NAME [FLAGS]';
  static override examples = ['<%= config.bin %> hub user token ana --revoke'];
  static override args = userArg;
  static override flags = {
    admin: boolean({summary: 'The token also shows and stops the sessions of others.'}),
    revoke: boolean({summary: 'Revoke all earlier ones.'}),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(HubUserToken);
    const state = stateDir();
    const user = await new HubUsers(state).find(args.name);
    const tokens = new HubTokens(state, systemClock);
    if (flags.revoke) await tokens.revokeOf(user.id);
    const scopes = flags.admin ? ADMIN : SESSIONS;
    const {token} = await tokens.make(user, {scopes});
    this.presenter.event(userEvent(user, 'token', token));
  }
}
