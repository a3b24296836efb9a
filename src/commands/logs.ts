// `tunl logs`: what a tunnel in the background, and its program, have said.

import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../lib/cli/base-command.js';
import {readLog} from '../lib/cli/read-log.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

export default class Logs extends BaseCommand {
  static override summary = 'Show what a tunnel in the background has said.';
  static override usage = 'logs ID [FLAGS]';
  static override examples = [
    ['<%= config.bin %> logs k3f9a2', '<%= config.bin %> logs k3f9a2 -f'].join('\n'),
  ];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'As `tunl list` shows it.'}),
  };
  static override flags = {follow: boolean({char: 'f', summary: 'Go on until it ends.'})};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Logs);
    const roster = new Roster(stateDir());
    const tunnel = await roster.get(args.id);
    for await (const line of readLog(
      roster.logPath(tunnel.id),
      () => flags.follow && roster.isRunning(tunnel),
    )) {
      this.presenter.event({type: 'log', id: tunnel.id, line});
    }
  }
}
