// `tunl terminal`: a shell in the browser, behind a password.

import {boolean} from '@oclif/core/flags';
import {passwordFlag, passwordFor} from '../lib/cli/secrets.js';
import {TunnelCommand} from '../lib/cli/tunnel-command.js';
import {lanFlags, lanSpelling, launchOptions, webProgramFlags} from '../lib/cli/tunnel-flags.js';
import {terminal} from '../lib/launch/programs/terminal.js';

export default class Terminal extends TunnelCommand {
  static override summary = 'A shell in the browser, behind a password.';
  static override usage = 'terminal [FLAGS] [-- COMMAND…]';
  static override examples = [
    ['<%= config.bin %> terminal', '<%= config.bin %> terminal --expires 30m -- htop'].join('\n'),
  ];
  static override passesWords = true;
  static override spellings = new Map([lanSpelling]);
  static override flags = {
    ...passwordFlag,
    'read-only': boolean({summary: 'Visitors see the shell and cannot type.'}),
    ...webProgramFlags,
    ...lanFlags,
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(Terminal);
    const program = terminal({
      password: await passwordFor(flags, this.presenter),
      argv: this.passedWords ?? [],
      readOnly: flags['read-only'],
    });
    await this.holdProgram(program, flags, {launch: launchOptions(flags)});
  }
}
