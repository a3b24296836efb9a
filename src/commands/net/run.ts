// `tunl net run`: a command that is a member of a private network.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {netRunFlags, runAsMember} from '../../lib/cli/network/run.js';
import {commandWords} from '../../lib/cli/sandbox/command-words.js';

export default class NetRun extends BaseCommand {
  static override summary = 'Run a command as a member of a private network.';
  static override description =
    'The command has an IPv6 address of its own, at which the other members reach every port that it opens, and reaches them by NAME or NAME.NETWORK.tunl.internal. Its terminal, output and exit code are its own; what tunl says goes to stderr.';
  static override usage = 'net run NETWORK [FLAGS] -- COMMAND…';
  static override examples = [
    [
      '<%= config.bin %> net run lab --name trainer -- python serve.py',
      '<%= config.bin %> net run lab -- curl http://trainer.lab.tunl.internal:8000/',
      '<%= config.bin %> net run lab --isolated -- bash',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override sharesStreams = true;
  static override args = {
    network: string({required: true, ignoreStdin: true, description: 'The network’s name.'}),
  };
  static override flags = netRunFlags;

  async run(): Promise<void> {
    const {args, flags} = await this.parse(NetRun);
    const {network} = args;
    const command = commandWords(this.passedWords, 'tunl net run lab -- curl http://trainer:8000/');
    process.exitCode = await runAsMember(command, {network, flags, presenter: this.presenter});
  }
}
