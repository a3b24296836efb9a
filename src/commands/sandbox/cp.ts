// `tunl sandbox cp`: copies files and folders into a sandbox, or out of it.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {refuseJson} from '../../lib/cli/refuse-json.js';
import {copyFiles} from '../../lib/cli/sandbox/copy.js';
import {copyOf} from '../../lib/cli/sandbox/copy-path.js';
import {findSandbox} from '../../lib/sandbox/open.js';

export default class SandboxCp extends BaseCommand {
  static override summary = 'Copy files and folders into a sandbox, or out of it.';
  static override usage = ['sandbox cp PATH ID:PATH [FLAGS]', 'sandbox cp ID:PATH PATH [FLAGS]'];
  static override examples = [
    [
      '<%= config.bin %> sandbox cp data.csv box:/tmp/',
      '<%= config.bin %> sandbox cp box:/tmp/results .',
      '<%= config.bin %> sandbox cp box:/tmp/out.json - | jq .',
    ].join('\n'),
  ];
  static override args = {
    from: string({required: true, ignoreStdin: true, description: 'A path, ID:PATH, or `-` for stdin.'}),
    to: string({required: true, ignoreStdin: true, description: 'A path, ID:PATH, or `-` for stdout.'}),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SandboxCp);
    const copy = copyOf(args.from, args.to);
    if (!copy.into && copy.local === '-')
      refuseJson(flags.json, 'The bytes of the file', 'Give the path of a file');
    using sandbox = await findSandbox(copy.sandbox);
    const {presenter} = this;
    const copied = await copyFiles({
      control: sandbox,
      copy,
      onNotice: (text) => presenter.tell({tone: 'warning', text}),
    });
    presenter.event({type: 'copied', id: sandbox.id, from: args.from, to: args.to, ...copied});
  }
}
