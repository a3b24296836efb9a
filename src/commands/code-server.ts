// `tunl code-server`: VS Code in the browser, with a public address.

import {string} from '@oclif/core/args';
import {passwordFlag, passwordFor} from '../lib/cli/secrets.js';
import {TunnelCommand} from '../lib/cli/tunnel-command.js';
import {lanFlags, lanSpelling, launchOptions, webProgramFlags} from '../lib/cli/tunnel-flags.js';
import {codeServer} from '../lib/launch/programs/code-server.js';

export default class CodeServer extends TunnelCommand {
  static override summary = 'VS Code in the browser, with a public address.';
  static override usage = 'code-server [FOLDER] [FLAGS] [-- ARGUMENTS OF CODE-SERVER…]';
  static override examples = [
    ['<%= config.bin %> code-server', '<%= config.bin %> code-server ~/project --expires 8h'].join('\n'),
  ];
  static override passesWords = true;
  static override spellings = new Map([lanSpelling]);
  static override args = {
    folder: string({ignoreStdin: true, description: 'The folder to open. (the current one)'}),
  };
  static override flags = {
    ...passwordFlag,
    ...webProgramFlags,
    ...lanFlags,
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(CodeServer);
    const program = codeServer({
      password: await passwordFor(flags, this.presenter),
      args: this.passedWords ?? [],
      ...(args.folder !== undefined && {dir: args.folder}),
    });
    await this.holdProgram(program, flags, {launch: launchOptions(flags)});
  }
}
