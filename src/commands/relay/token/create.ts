// `tunl relay token create`: makes a token for agents of this machine's relay.

import {string} from '@oclif/core/args';
import {string as text} from '@oclif/core/flags';
import {BaseCommand} from '../../../lib/cli/base-command.js';
import {tokenEvent} from '../../../lib/cli/token-event.js';
import {tokenFlags, tokenOptions} from '../../../lib/cli/token-flags.js';
import {TunlError} from '../../../lib/core/errors.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {TokenCommands} from '../../../lib/relay/access/token-commands.js';

export default class RelayTokenCreate extends BaseCommand {
  static override summary = 'Make a token for agents; it is shown once.';
  static override usage = 'relay token create NAME --scope SCOPE [FLAGS]';
  static override examples = [
    [
      "<%= config.bin %> relay token create laptop --owner ana --scope 'name:*' --expires 90d",
      "<%= config.bin %> relay token create ci --scope 'name:ci-*' --scope tcp:22 > ci.token",
      '<%= config.bin %> relay token create job --scope egress:db --allow db.corp:5432',
    ].join('\n'),
  ];
  static override args = {
    name: string({
      required: true,
      ignoreStdin: true,
      description: 'A name for people, in the list of tokens.',
    }),
  };
  static override flags = {
    owner: text({helpValue: 'OWNER', summary: 'Who has its names and ports. (NAME)'}),
    ...tokenFlags,
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RelayTokenCreate);
    const {scopes, ...options} = tokenOptions(flags);
    if (scopes === undefined) {
      throw new TunlError('USAGE', {
        reason: 'A token without a scope would allow nothing.',
        next: "Give what it allows: --scope 'name:*' for all names, --scope 'tcp:*' for all TCP ports.",
      });
    }
    if (options.allow !== undefined && !scopes.some((scope) => scope.startsWith('egress:'))) {
      throw new TunlError('USAGE', {
        reason: '--allow says what egress may reach, and this token allows no egress.',
        next: "Give the egress as well: --scope egress:NAME, or --scope 'egress:*'.",
      });
    }
    const tokens = new TokenCommands(stateDir());
    const {token, record} = await tokens.create({name: args.name, owner: flags.owner, scopes, ...options});
    this.presenter.event(tokenEvent(record, {state: 'created', token}));
  }
}
