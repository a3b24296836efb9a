// `tunl logs`: shows the output of a tunnel in the background and its program, also after its end, with the reason of the
// end.

import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {listedEvent} from '../lib/cli/background-event.js';
import {backgroundState} from '../lib/cli/background-state.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {readLog} from '../lib/cli/read-log.js';
import {onReaderGone, roomOnStdout} from '../lib/cli/stdout.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

export default class Logs extends BaseCommand {
  static override summary = 'Show the output of a tunnel in the background, also after its end.';
  static override usage = 'logs ID [FLAGS]';
  static override examples = [
    ['<%= config.bin %> logs k3f9a2', '<%= config.bin %> logs k3f9a2 -f'].join('\n'),
  ];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID in `tunl list`.'}),
  };
  static override flags = {follow: boolean({char: 'f', summary: 'Show new output too, until it ends.'})};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Logs);
    const roster = new Roster(stateDir());
    const {entry: tunnel} = await roster.find(args.id);
    let isRead = true;
    using _reader = onReaderGone(() => (isRead = false));
    const goesOn = () => flags.follow && isRead && roster.isRunning(tunnel);
    for await (const line of readLog(roster.logPath(tunnel.id), goesOn)) {
      this.presenter.event({type: 'log', id: tunnel.id, line});
      await roomOnStdout();
    }
    const after = await roster.find(args.id);
    if (after.life === 'ended')
      this.presenter.tell({tone: 'plain', text: backgroundState(listedEvent(after))});
  }
}
