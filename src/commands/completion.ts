// `tunl completion`: prints the script that completes commands, flags and IDs in a shell.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../lib/cli/base-command.js';
import {SCRIPTS, SHELLS} from '../lib/cli/completion/scripts.js';
import {writeLine} from '../lib/cli/stdout.js';

export default class Completion extends BaseCommand {
  static override summary = 'Print the completion script of a shell.';
  static override usage = 'completion SHELL';
  static override examples = [
    [
      '$ source <(<%= config.bin %> completion bash)',
      '$ source <(<%= config.bin %> completion zsh)',
      '$ <%= config.bin %> completion fish | source',
      '$ <%= config.bin %> completion powershell | Out-String | Invoke-Expression',
    ].join('\n'),
  ];
  /** A script has one form only. */
  static override baseFlags = {} as typeof BaseCommand.baseFlags;
  static override args = {
    shell: string({
      required: true,
      ignoreStdin: true,
      options: [...SHELLS],
      description: 'The shell.',
    }),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(Completion);
    const shell = SHELLS.find((each) => each === args.shell);
    if (shell !== undefined) writeLine(SCRIPTS[shell].trimEnd());
  }
}
