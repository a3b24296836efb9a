// `tunl sandbox ps`: shows the sandboxes that run, and with --all those that ended within a week.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {listSandboxes} from '../../lib/cli/sandbox/list.js';
import {HEADING} from '../../lib/cli/sandbox/wording.js';

export default class SandboxPs extends BaseCommand {
  static override summary = 'Show the sandboxes that run.';
  static override usage = 'sandbox ps [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> sandbox ps',
      '<%= config.bin %> sandbox ps --all',
      '<%= config.bin %> sandbox ps --json | jq -r \'.id + " " + .state\'',
    ].join('\n'),
  ];
  static override flags = {
    all: boolean({char: 'a', summary: 'Also those that ended within a week, and why.'}),
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(SandboxPs);
    const {listed, hidden} = await listSandboxes(flags.all);
    // stdout has the rows alone, for scripts.
    if (listed.length > 0) this.presenter.tell({tone: 'faint', text: HEADING});
    for (const each of listed) this.presenter.event(each);
    if (listed.length > 0) return;
    const hint = hidden > 0 ? ' `tunl sandbox ps --all` shows those that ended.' : '';
    this.presenter.tell({tone: 'plain', text: `No sandbox runs.${hint}`});
  }
}
