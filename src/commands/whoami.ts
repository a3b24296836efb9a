// `tunl whoami`: the identity that the relay sees in the token.

import {LINK_SETTINGS} from '../lib/agent/settings-table.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {askFlags, contexts} from '../lib/cli/contexts.js';
import {optionsOf} from '../lib/cli/setting-flags.js';
import {settle} from '../lib/core/settings.js';
import {identityAt} from '../lib/login.js';

export default class WhoAmI extends BaseCommand {
  static override summary = 'Show who you are at the relay, and what you may use.';
  static override usage = 'whoami [FLAGS]';
  static override examples = ['<%= config.bin %> whoami'];
  static override flags = askFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(WhoAmI);
    const settings = settle(LINK_SETTINGS, optionsOf(LINK_SETTINGS, flags));
    const isChosen = settings.relay !== undefined || settings.context !== undefined;
    const current = isChosen ? {} : {context: await contexts().current()};
    const {relay, context, identity} = await identityAt({...settings, ...current});
    this.presenter.event({
      type: 'identity',
      relay,
      ...(context !== undefined && {context}),
      ...identity,
    });
  }
}
