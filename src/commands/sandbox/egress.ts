// `tunl sandbox egress`: other destinations for the programs of a sandbox, at once.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {egressWords} from '../../lib/cli/sandbox/facts.js';
import {readEgress} from '../../lib/sandbox/egress-option.js';
import {findSandbox} from '../../lib/sandbox/open.js';

export default class SandboxEgress extends BaseCommand {
  static override summary = 'Change where the programs of a sandbox may connect to.';
  static override usage = 'sandbox egress ID RULES [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> sandbox egress box none',
      '<%= config.bin %> sandbox egress box registry.npmjs.org:443,*.example.com:443',
    ].join('\n'),
  ];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID or name in `tunl sandbox ps`.'}),
    rules: string({required: true, ignoreStdin: true, description: 'none, internet, or HOST:PORT,….'}),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(SandboxEgress);
    const rules = readEgress(args.rules);
    using sandbox = await findSandbox(args.id);
    await sandbox.setEgress(rules);
    this.presenter.event({type: 'egress', id: sandbox.id, egress: egressWords(rules)});
  }
}
