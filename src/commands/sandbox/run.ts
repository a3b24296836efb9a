// `tunl sandbox run`: a command that is isolated from this machine, with public addresses for its ports.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {checkRelayFlags} from '../../lib/cli/combinations.js';
import {withContext} from '../../lib/cli/contexts.js';
import {commandWords} from '../../lib/cli/sandbox/command-words.js';
import {askedOf, runFlags, sandboxOptions} from '../../lib/cli/sandbox/flags.js';
import {runDetached, runHere} from '../../lib/cli/sandbox/run.js';

export default class SandboxRun extends BaseCommand {
  static override summary = 'Run a command in a sandbox, with public addresses for its ports.';
  static override usage = 'sandbox run [FLAGS] -- COMMAND…';
  static override examples = [
    [
      '<%= config.bin %> sandbox run --port 8080 --memory 512m -- python3 -m http.server 8080',
      '<%= config.bin %> sandbox run --mount .:/project --workdir /project -- make test',
      '<%= config.bin %> sandbox run --detach --timeout 2h --name box -- sleep infinity',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override flags = runFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(SandboxRun);
    const {presenter} = this;
    const flags = await withContext(parsed.flags, (text) => presenter.tell({tone: 'faint', text}));
    checkRelayFlags(flags);
    const command = commandWords(this.passedWords, 'tunl sandbox run --port 8080 -- npm start');
    const run = {command, options: await sandboxOptions(flags), asked: askedOf(flags), presenter};
    process.exitCode = await (flags.detach ? runDetached(run) : runHere(run));
  }
}
