// `tunl relay token revoke`: ends a token and the sessions of its agents.

import {BaseCommand} from '../../../lib/cli/base-command.js';
import {tokenArg} from '../../../lib/cli/token-arg.js';
import {tokenEvent} from '../../../lib/cli/token-event.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {TokenCommands} from '../../../lib/relay/access/token-commands.js';

export default class RelayTokenRevoke extends BaseCommand {
  static override summary = 'End a token and the agents that use it.';
  static override usage = 'relay token revoke ID [FLAGS]';
  static override examples = ['<%= config.bin %> relay token revoke k3f9a2m7qx'];
  static override args = tokenArg;

  async run(): Promise<void> {
    const {args} = await this.parse(RelayTokenRevoke);
    const record = await new TokenCommands(stateDir()).revoke(args.id);
    this.presenter.event(tokenEvent(record, {state: 'ended'}));
  }
}
