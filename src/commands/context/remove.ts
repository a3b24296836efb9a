// `tunl context remove`: forgets a login with its relay.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {contextEvent, contexts} from '../../lib/cli/contexts.js';
import {usableState} from '../../lib/core/usable-state.js';
import {logOut} from '../../lib/login.js';

export default class ContextRemove extends BaseCommand {
  static override summary = 'Forget a login with its relay.';
  static override usage = 'context remove NAME [FLAGS]';
  static override examples = ['<%= config.bin %> context remove t.example.com'];
  static override args = {
    context: string({
      required: true,
      ignoreStdin: true,
      description: 'A name in `tunl context list`.',
    }),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(ContextRemove);
    const {context} = await logOut(args.context, usableState().path);
    await contexts().remove(args.context);
    this.presenter.event(contextEvent(context, undefined, 'removed'));
  }
}
