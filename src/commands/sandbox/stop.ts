// `tunl sandbox stop`: ends sandboxes in order.

import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {finishedEvent} from '../../lib/cli/sandbox/facts.js';
import {TunlError} from '../../lib/core/errors.js';
import {stateDir} from '../../lib/core/state-dir.js';
import {SandboxRoster} from '../../lib/sandbox/roster.js';
import {stopSandbox} from '../../lib/sandbox/stop-owner.js';

export default class SandboxStop extends BaseCommand {
  static override summary = 'End sandboxes.';
  static override usage = ['sandbox stop ID… [FLAGS]', 'sandbox stop --all [FLAGS]'];
  static override examples = [
    ['<%= config.bin %> sandbox stop sb_4f9q2abc', '<%= config.bin %> sandbox stop --all'].join('\n'),
  ];
  static override strict = false;
  static override args = {
    id: string({ignoreStdin: true, description: 'The IDs or names in `tunl sandbox ps`.', multiple: true}),
  };
  static override flags = {all: boolean({char: 'a', summary: 'End all that run.'})};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SandboxStop);
    const words = args.id ?? [];
    if (flags.all === words.length > 0) {
      throw new TunlError('USAGE', {
        reason: flags.all
          ? '`tunl sandbox stop` takes IDs or --all, not both.'
          : '`tunl sandbox stop` needs an ID, or --all.',
        next: '`tunl sandbox ps` shows the IDs.',
      });
    }
    const roster = new SandboxRoster(stateDir());
    const all = flags.all ? (await roster.all()).filter(({life}) => life === 'running') : [];
    if (flags.all && all.length === 0) this.presenter.tell({tone: 'plain', text: 'No sandbox runs.'});
    const ids = flags.all ? all.map(({journal}) => journal.id) : words;
    // One that cannot be stopped does not keep the others running.
    const ends = await Promise.allSettled(
      ids.map(async (word) => {
        const {id, end} = await stopSandbox(roster, await roster.find(word));
        this.presenter.event(finishedEvent(id, end));
      }),
    );
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}
