// `tunl logout`: forgets the token of a context.

import {LINK_SETTINGS} from '../lib/agent/settings-table.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {namedOrCurrent} from '../lib/cli/contexts.js';
import {flagsOf} from '../lib/cli/setting-flags.js';
import {usableState} from '../lib/core/usable-state.js';
import {logOut} from '../lib/login.js';

const {context} = LINK_SETTINGS;

export default class Logout extends BaseCommand {
  static override summary = 'Forget the token of a relay.';
  static override usage = 'logout [FLAGS]';
  static override examples = ['<%= config.bin %> logout'];
  static override flags = flagsOf({context});

  async run(): Promise<void> {
    const {flags} = await this.parse(Logout);
    const name = await namedOrCurrent(flags.context);
    const {context: left, told} = await logOut(name, usableState().path);
    this.presenter.event({type: 'logout', context: left.name, relay: left.relay, told});
  }
}
