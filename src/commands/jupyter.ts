// `tunl jupyter`: JupyterLab with a public address.

import {boolean, string} from '@oclif/core/flags';
import {secretFor} from '../lib/cli/secrets.js';
import {TunnelCommand} from '../lib/cli/tunnel-command.js';
import {launchOptions, webProgramFlags} from '../lib/cli/tunnel-flags.js';
import {jupyter} from '../lib/launch/programs/jupyter.js';

export default class Jupyter extends TunnelCommand {
  static override summary = 'JupyterLab with a public address.';
  static override usage = 'jupyter [FLAGS] [-- ARGUMENTS OF JUPYTER…]';
  static override examples = [
    [
      '<%= config.bin %> jupyter',
      '<%= config.bin %> jupyter --dir ~/notebooks --expires 2h',
      '<%= config.bin %> jupyter --bin .venv/bin/jupyter-lab -- --ServerApp.max_body_size=1000',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override flags = {
    token: boolean({
      allowNo: true,
      default: true,
      summary: 'Ask visitors for a token: JUPYTER_TOKEN, or a random one.',
    }),
    'jupyter-token-file': string({
      helpValue: 'FILE',
      summary: 'Jupyter’s token in its first line; --token-file is the relay’s.',
    }),
    dir: string({helpValue: 'FOLDER', summary: 'The folder to show. (the current one)'}),
    ...webProgramFlags,
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(Jupyter);
    const program = jupyter({
      token:
        flags.token &&
        (await secretFor('token', {file: flags['jupyter-token-file'], variable: 'JUPYTER_TOKEN'})),
      args: this.passedWords ?? [],
      ...(flags.dir !== undefined && {dir: flags.dir}),
    });
    await this.holdProgram(program, flags, {launch: launchOptions(flags)});
  }
}
