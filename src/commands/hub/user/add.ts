// `tunl hub user add`: makes a user of the hub on this machine, and a token.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../../lib/cli/base-command.js';
import {userEvent} from '../../../lib/cli/hub/events.js';
import {quotaFlag, userArg} from '../../../lib/cli/hub/user-flags.js';
import {systemClock} from '../../../lib/core/clock.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {ADMIN, HubTokens, SESSIONS} from '../../../lib/hub/tokens.js';
import {HubUsers} from '../../../lib/hub/users.js';

export default class HubUserAdd extends BaseCommand {
  static override summary = 'Make a user and a token, which is shown once.';
  static override usage = 'hub user add NAME [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> hub user add ana --quota 2',
      '<%= config.bin %> hub user add root --admin > token',
    ].join('\n'),
  ];
  static override args = userArg;
  static override flags = {
    ...quotaFlag,
    admin: boolean({summary: 'The token also shows and stops the sessions of others.'}),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(HubUserAdd);
    const state = stateDir();
    const user = await new HubUsers(state).add(args.name, flags.quota);
    const scopes = flags.admin ? ADMIN : SESSIONS;
    const {token} = await new HubTokens(state, systemClock).make(user, {scopes});
    this.presenter.event(userEvent(user, 'added', token));
  }
}
