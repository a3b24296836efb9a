// `tunl relay token set`: changes what a token allows; live sessions lose what it does not allow any more.

import {BaseCommand} from '../../../lib/cli/base-command.js';
import {tokenArg} from '../../../lib/cli/token-arg.js';
import {tokenEvent} from '../../../lib/cli/token-event.js';
import {tokenFlags, tokenOptions} from '../../../lib/cli/token-flags.js';
import {TunlError} from '../../../lib/core/errors.js';
import {stateDir} from '../../../lib/core/state-dir.js';
import {TokenCommands} from '../../../lib/relay/access/token-commands.js';

export default class RelayTokenSet extends BaseCommand {
  static override summary = 'Change the scopes, destinations, limits or end of a token.';
  static override usage = 'relay token set ID [FLAGS]';
  static override examples = [
    [
      "<%= config.bin %> relay token set k3f9a2m7qx --scope 'name:ana-*'",
      '<%= config.bin %> relay token set ci --expires 30d --max-tunnels 5',
      '<%= config.bin %> relay token set job --allow db.corp:5432',
    ].join('\n'),
  ];
  static override args = tokenArg;
  static override flags = tokenFlags;

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RelayTokenSet);
    const change = tokenOptions(flags);
    const {scopes, allow, expiresInMs, limits} = change;
    if (scopes === undefined && allow === undefined && expiresInMs === undefined && isEmpty(limits)) {
      throw new TunlError('USAGE', {
        reason: '`tunl relay token set` needs something to change.',
        next: 'Give all scopes that the token shall have with --scope, or --allow, --expires, or a limit; a limit of 0 is none.',
      });
    }
    const record = await new TokenCommands(stateDir()).set(args.id, change);
    this.presenter.event(tokenEvent(record, {state: 'changed'}));
  }
}

const isEmpty = (limits: object): boolean => Object.keys(limits).length === 0;
