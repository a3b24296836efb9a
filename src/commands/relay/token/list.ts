// `tunl relay token list`: shows the tokens of this machine's relay, without the tokens themselves.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../../lib/cli/base-command.js';
import {TOKEN_HEADER, tokenEvent} from '../../../lib/cli/token-event.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {TokenCommands} from '../../../lib/relay/access/token-commands.js';

export default class RelayTokenList extends BaseCommand {
  static override summary = 'Show the tokens of the relay on this machine.';
  static override usage = 'relay token list [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> relay token list',
      '<%= config.bin %> relay token list --json | jq -r \'.id + " " + .owner\'',
    ].join('\n'),
  ];
  static override flags = {all: boolean({summary: 'Also those that were revoked or have expired.'})};

  async run(): Promise<void> {
    const {flags} = await this.parse(RelayTokenList);
    const all = await new TokenCommands(stateDir()).list();
    const listed = flags.all ? all : all.filter(({state}) => state === 'active');
    // stdout has the rows alone, for scripts.
    if (listed.length > 0) this.presenter.tell({tone: 'faint', text: TOKEN_HEADER});
    for (const {record, ...known} of listed) this.presenter.event(tokenEvent(record, known));
    if (listed.length > 0) return;
    const hint = all.length > 0 ? ' `tunl relay token list --all` shows those that ended.' : '';
    this.presenter.tell({tone: 'plain', text: `There is no token.${hint}`});
  }
}
