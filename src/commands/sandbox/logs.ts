// `tunl sandbox logs`: shows the output of a sandbox's command, also after its end.

import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {showLogs} from '../../lib/cli/sandbox/logs.js';

export default class SandboxLogs extends BaseCommand {
  static override summary = 'Show the last output of a sandbox’s command, also after its end.';
  static override usage = 'sandbox logs [-f] ID [FLAGS]';
  static override examples = [
    ['<%= config.bin %> sandbox logs sb_4f9q2abc', '<%= config.bin %> sandbox logs -f box'].join('\n'),
  ];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID or name in `tunl sandbox ps`.'}),
  };
  static override flags = {follow: boolean({char: 'f', summary: 'Show new output too, until it ends.'})};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SandboxLogs);
    await showLogs(args.id, {follow: flags.follow, json: flags.json ?? false, presenter: this.presenter});
  }
}
