// `tunl net list`: the members of a network, and the way to each from this machine.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {memberEvent} from '../../lib/cli/network/events.js';
import {linkOptions, networkLinkFlags} from '../../lib/cli/network/flags.js';
import {MEMBER_HEADING} from '../../lib/cli/network/wording.js';

export default class NetList extends BaseCommand {
  static override summary = 'Show the members of a network.';
  static override usage = 'net list NETWORK [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> net list lab',
      '<%= config.bin %> net list lab --json | jq -r \'.name + " " + .address\'',
    ].join('\n'),
  ];
  static override args = {
    network: string({required: true, ignoreStdin: true, description: 'The network’s name.'}),
  };
  static override flags = networkLinkFlags;

  async run(): Promise<void> {
    const {args, flags} = await this.parse(NetList);
    const {network} = args;
    const {presenter} = this;
    const options = await linkOptions(flags, presenter);
    const [{openLink}, {listMembers}] = await Promise.all([
      import('../../lib/open-link.js'),
      import('../../lib/network/list.js'),
    ]);
    await using link = await openLink({...options, log: presenter.log});
    const members = await listMembers(link, {scope: 'net', network});
    // stdout has the rows alone, for scripts.
    if (members.length > 0) presenter.tell({tone: 'faint', text: MEMBER_HEADING});
    for (const member of members) presenter.event(memberEvent(network, member, 'listed'));
    if (members.length === 0)
      presenter.tell({tone: 'plain', text: `The network ${network} has no member now.`});
  }
}
