// `tunl share revoke`: a link works no more, and its visitors are out.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {revoke} from '../../lib/cli/share.js';

export default class ShareRevoke extends BaseCommand {
  static override summary = 'Withdraw a link: its visitors are out at once.';
  static override usage = 'share revoke ID [FLAGS]';
  static override examples = ['<%= config.bin %> share revoke xyc6xc'];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The first column of `tunl share list`.'}),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(ShareRevoke);
    this.presenter.event(await revoke(args.id));
  }
}
