// `tunl sandbox extend`: a sandbox ends later.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {duration} from '../../lib/core/duration.js';
import {findSandbox} from '../../lib/sandbox/open.js';

export default class SandboxExtend extends BaseCommand {
  static override summary = 'Add time to the life of a sandbox.';
  static override usage = 'sandbox extend ID TIME [FLAGS]';
  static override examples = ['<%= config.bin %> sandbox extend sb_4f9q2abc 1h'];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID or name in `tunl sandbox ps`.'}),
    time: string({required: true, ignoreStdin: true, description: 'How much is added, like 30m or 2h.'}),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(SandboxExtend);
    const ms = duration(args.time);
    using sandbox = await findSandbox(args.id);
    const stopsAt = await sandbox.extend(ms);
    const at = stopsAt === undefined ? {} : {stopsAt: new Date(stopsAt).toISOString()};
    this.presenter.event({type: 'prolonged', id: sandbox.id, ...at});
  }
}
