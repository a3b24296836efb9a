// `tunl egress list`: the egresses of the relay that the token may use.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {EGRESS_HEADING} from '../../lib/cli/egress/wording.js';
import {openOwnLink, ownLinkFlags} from '../../lib/cli/own-link.js';
import {listEgresses} from '../../lib/egress/client.js';

export default class EgressList extends BaseCommand {
  static override summary = 'Show the egresses that the relay offers to your token.';
  static override usage = 'egress list [FLAGS]';
  static override examples = [
    ['<%= config.bin %> egress list', "<%= config.bin %> egress list --json | jq -r '.name'"].join('\n'),
  ];
  static override flags = ownLinkFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(EgressList);
    const {presenter} = this;
    await using link = await openOwnLink(flags, {presenter});
    const egresses = await listEgresses(link);
    // stdout has the rows alone, for scripts.
    if (egresses.length > 0) presenter.tell({tone: 'faint', text: EGRESS_HEADING});
    for (const each of egresses) presenter.event({type: 'egress-set', ...each});
    if (egresses.length > 0) return;
    const {url} = link.relay;
    presenter.tell({tone: 'plain', text: `${url} offers no egress to this token.`});
  }
}
