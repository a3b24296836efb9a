// `tunl sandbox exec`: runs a command inside a sandbox, with this terminal or these pipes, and ends with its exit code.

import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {given} from '../../lib/cli/flags.js';
import {commandWords} from '../../lib/cli/sandbox/command-words.js';
import {withDashes} from '../../lib/cli/sandbox/dashes.js';
import {environment} from '../../lib/cli/sandbox/env.js';
import {runExec} from '../../lib/cli/sandbox/exec-run.js';
import {exitCodeOf} from '../../lib/cli/sandbox/exit-code.js';
import {envFlags} from '../../lib/cli/sandbox/flags.js';
import {flagOf} from '../../lib/cli/setting-flags.js';
import {setting, text, time} from '../../lib/core/settings.js';
import {findSandbox} from '../../lib/sandbox/open.js';

export default class SandboxExec extends BaseCommand {
  static override summary = 'Run a command inside a sandbox that runs.';
  static override usage = 'sandbox exec [-it] [FLAGS] ID -- COMMAND…';
  static override examples = [
    [
      '<%= config.bin %> sandbox exec sb_4f9q2abc -- ls -l',
      '<%= config.bin %> sandbox exec -it box -- bash',
      '$ tar -c . | <%= config.bin %> sandbox exec -i box -- tar -x -C /tmp',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override dashesOptional = true;
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID or name in `tunl sandbox ps`.'}),
  };
  static override flags = {
    interactive: boolean({char: 'i', summary: 'Pass stdin on.'}),
    tty: boolean({char: 't', summary: 'Give the command a terminal.'}),
    ...envFlags,
    workdir: flagOf(setting(text('FOLDER'), {help: 'The folder inside that it begins in.'})),
    timeout: flagOf(setting(time({minMs: 1}), {help: 'Kill it after this time; the exit code is 124.'})),
  };

  async run(): Promise<void> {
    this.argv = withDashes(this.argv, SandboxExec.flags);
    const {args, flags} = await this.parse(SandboxExec);
    const command = commandWords(this.passedWords, 'tunl sandbox exec ID -- ls -l');
    const env = await environment(flags.env, flags['env-file']);
    using sandbox = await findSandbox(args.id);
    const {id} = sandbox;
    const {presenter} = this;
    const end = await runExec(
      sandbox,
      {command, env, ...given({workdir: flags.workdir, timeoutMs: flags.timeout})},
      {
        interactive: flags.interactive,
        tty: flags.tty,
        onOutput: flags.json ? (from, text) => presenter.event({type: 'output', id, from, text}) : undefined,
      },
    );
    process.exitCode = exitCodeOf(end);
    presenter.event({type: 'exit', id, ...given(end), exitCode: process.exitCode});
  }
}
