// `tunl stop`: ends tunnels in the background, like Ctrl+C.

import {string} from '@oclif/core/args';
import {boolean, string as text} from '@oclif/core/flags';
import {BaseCommand} from '../lib/cli/base-command.js';
import {TunlError} from '../lib/core/errors.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

export default class Stop extends BaseCommand {
  static override summary = 'End a tunnel in the background.';
  static override usage = ['stop ID [FLAGS]', 'stop --all [FLAGS]'];
  static override examples = [['<%= config.bin %> stop k3f9a2', '<%= config.bin %> stop --all'].join('\n')];
  static override args = {
    id: string({ignoreStdin: true, description: 'The ID in `tunl list`.'}),
  };
  static override flags = {
    all: boolean({summary: 'End all of them.'}),
    reason: text({helpValue: 'TEXT', summary: 'A reason that `tunl list --all` shows.'}),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Stop);
    if (Boolean(flags.all) === (args.id !== undefined))
      throw new TunlError('USAGE', {
        reason: flags.all
          ? '`tunl stop` takes an ID or --all, not both.'
          : '`tunl stop` needs an ID, or --all.',
        next: '`tunl list` shows the IDs.',
      });
    const roster = new Roster(stateDir());
    // One in a terminal ends with its terminal, or by its ID.
    const inBackground = async () => (await roster.living()).filter(({foreground}) => !foreground);
    const tunnels = args.id === undefined ? await inBackground() : [await roster.get(args.id)];
    const ends = await Promise.allSettled(
      tunnels.map(async (tunnel) => {
        await roster.stop(tunnel, flags.reason);
        this.presenter.event({type: 'ended', id: tunnel.id, address: tunnel.address});
      }),
    );
    if (tunnels.length === 0) this.presenter.tell({tone: 'plain', text: 'No tunnel runs in the background.'});
    // A tunnel that cannot be stopped does not keep the others running.
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}
