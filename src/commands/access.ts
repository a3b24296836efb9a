// `tunl access`: other addresses that visitors of a tunnel may come from, while it runs.

import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {changeAccess} from '../lib/cli/access.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {findTunnel} from '../lib/cli/share.js';
import {visitorFlags} from '../lib/cli/tunnel-flags.js';

export default class Access extends BaseCommand {
  static override summary = 'Change who may visit a tunnel that runs, by address.';
  static override usage = 'access NAME [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> access demo --cidr-deny 203.0.113.9',
      '<%= config.bin %> access demo --everywhere',
    ].join('\n'),
  ];
  static override args = {
    name: string({required: true, ignoreStdin: true, description: 'As for `tunl share`.'}),
  };
  static override flags = {
    ...visitorFlags,
    everywhere: boolean({summary: 'Visitors may come from everywhere again.'}),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Access);
    this.presenter.event(await changeAccess(await findTunnel(args.name), flags));
  }
}
