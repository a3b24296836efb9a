// `tunl share list`: the links to a private tunnel.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {findTunnel, linksOf} from '../../lib/cli/share.js';

export default class ShareList extends BaseCommand {
  static override summary = 'Show the links to a private tunnel.';
  static override usage = 'share list NAME [FLAGS]';
  static override examples = ['<%= config.bin %> share list demo'];
  static override args = {
    name: string({required: true, ignoreStdin: true, description: 'As for `tunl share`.'}),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(ShareList);
    const links = await linksOf(await findTunnel(args.name));
    for (const link of links) this.presenter.event(link);
    if (links.length === 0) this.presenter.tell({tone: 'plain', text: 'No link to it works any more.'});
  }
}
