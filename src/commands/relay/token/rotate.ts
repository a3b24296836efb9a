// `tunl relay token rotate`: replaces the text of a token; its owner, scopes and names stay.

import {custom} from '@oclif/core/flags';
import {BaseCommand} from '../../../lib/cli/base-command.js';
import {tokenArg} from '../../../lib/cli/token-arg.js';
import {tokenEvent} from '../../../lib/cli/token-event.js';
import {duration} from '../../../lib/core/duration.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {TokenCommands} from '../../../lib/relay/access/token-commands.js';

export default class RelayTokenRotate extends BaseCommand {
  static override summary = 'Replace a token by a new one with the same rights.';
  static override usage = 'relay token rotate ID [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> relay token rotate k3f9a2m7qx',
      '<%= config.bin %> relay token rotate ci --keep-old 1h > ci.token',
    ].join('\n'),
  ];
  static override args = tokenArg;
  static override flags = {
    'keep-old': custom<number>({
      helpValue: 'TIME',
      summary: 'The old one is good for this time, so that agents can change. (0s)',
      parse: async (text) => duration(text),
    })(),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RelayTokenRotate);
    const {token, record} = await new TokenCommands(stateDir()).rotate(args.id, flags['keep-old']);
    this.presenter.event(tokenEvent(record, {state: 'rotated', token}));
  }
}
