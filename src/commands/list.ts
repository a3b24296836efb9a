// `tunl list`: shows the tunnels in the background, and with --all those that ended within a week.

import {boolean} from '@oclif/core/flags';
import {readStatus} from '../lib/cli/background-control.js';
import {listedEvent} from '../lib/cli/background-event.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

export default class List extends BaseCommand {
  static override summary = 'Show the tunnels in the background.';
  static override usage = 'list [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> list',
      '<%= config.bin %> list --all',
      '<%= config.bin %> list --json | jq -r \'.id + " " + .address\'',
    ].join('\n'),
  ];
  static override flags = {all: boolean({summary: 'Also those that ended within a week, and why.'})};

  async run(): Promise<void> {
    const {flags} = await this.parse(List);
    const roster = new Roster(stateDir());
    const all = await roster.all();
    const listed = flags.all ? all : all.filter(({life}) => life === 'running');
    const answers = listed.map(({entry, life}) =>
      life === 'running' ? roster.ask(entry, {do: 'status'}).catch(() => undefined) : undefined,
    );
    // stdout has the rows alone, for scripts.
    if (listed.length > 0) this.presenter.tell({tone: 'faint', text: 'ID      ADDRESS  COMMAND'});
    for (const [at, each] of listed.entries())
      this.presenter.event(listedEvent(each, readStatus(await answers[at])));
    if (listed.length > 0) return;
    const hint = all.length > 0 ? ' `tunl list --all` shows those that ended.' : '';
    this.presenter.tell({tone: 'plain', text: `No tunnel runs in the background.${hint}`});
  }
}
