// `tunl egress run`: a command whose connections all leave by the addresses of an egress.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {egressRunFlags, runBehindEgress} from '../../lib/cli/egress/run.js';
import {commandWords} from '../../lib/cli/sandbox/command-words.js';

export default class EgressRun extends BaseCommand {
  static override summary = 'Run a command whose traffic leaves by fixed addresses.';
  static override description =
    'Every connection of the command and of its children leaves by the egress, or not at all. Its terminal, output and exit code are its own; what tunl says goes to stderr.';
  static override usage = 'egress run --via NAME [FLAGS] -- COMMAND…';
  static override examples = [
    [
      '<%= config.bin %> egress run --via my-proxy -- curl -s https://ifconfig.me',
      '<%= config.bin %> egress run --via db-proxy --local 6379 -- python query.py',
      '<%= config.bin %> egress run --via my-proxy -- bash',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override sharesStreams = true;
  static override flags = egressRunFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(EgressRun);
    const command = commandWords(this.passedWords, 'tunl egress run --via NAME -- curl https://example.com');
    process.exitCode = await runBehindEgress(command, flags, this.presenter);
  }
}
