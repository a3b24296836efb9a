// `tunl terminal`: a shell in the browser, behind a password.

import {string} from '@oclif/core/flags';
import {secretFor} from '../lib/cli/secrets.js';
import {TunnelCommand} from '../lib/cli/tunnel-command.js';
import {
  launchWishes,
  lifeFlags,
  nameFlags,
  programFlags,
  relayFlags,
  showFlags,
} from '../lib/cli/tunnel-flags.js';
import {terminal} from '../lib/launch/programs/terminal.js';

export default class Terminal extends TunnelCommand {
  static override summary = 'A shell in the browser, behind a password.';
  static override usage = 'terminal [FLAGS] [-- COMMAND…]';
  static override examples = [
    ['<%= config.bin %> terminal', '<%= config.bin %> terminal --expires 30m -- htop'].join('\n'),
  ];
  static override passesWords = true;
  static override flags = {
    'password-file': string({
      helpValue: 'FILE',
      summary: 'The password is its first line. (PASSWORD, or a random one)',
    }),
    ...programFlags,
    ...nameFlags,
    ...lifeFlags,
    ...relayFlags,
    ...showFlags,
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(Terminal);
    const program = terminal({
      password: await secretFor('password', {
        file: flags['password-file'],
        variable: 'PASSWORD',
        // The log of one in the background has it.
        isSilent: this.presenter.isSilent && !flags.detach,
      }),
      argv: this.passedWords ?? [],
    });
    await this.holdProgram(program, flags, {launch: launchWishes(flags)});
  }
}
