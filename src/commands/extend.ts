// `tunl extend`: sets a new end of a tunnel in the background.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../lib/cli/base-command.js';
import {flagOf} from '../lib/cli/setting-flags.js';
import {TunlError} from '../lib/core/errors.js';
import {setting, time} from '../lib/core/settings.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

export default class Extend extends BaseCommand {
  static override summary = 'Set when a tunnel in the background ends.';
  static override usage = 'extend ID --expires TIME [FLAGS]';
  static override examples = ['<%= config.bin %> extend k3f9a2 --expires 2h'];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID in `tunl list`.'}),
  };
  static override flags = {
    expires: flagOf(setting(time({minMs: 1}), {help: 'The time until the end, from now.'})),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Extend);
    const expiresMs = flags.expires;
    if (expiresMs === undefined)
      throw new TunlError('USAGE', {reason: '`tunl extend` needs --expires TIME.'});
    const roster = new Roster(stateDir());
    const tunnel = await roster.get(args.id);
    const {id, address} = tunnel;
    const answer = await roster.ask(tunnel, {do: 'extend', expiresMs});
    if (typeof answer?.expiresAt !== 'string') throw new TunlError('BACKGROUND_SILENT');
    this.presenter.event({type: 'extended', id, address, expiresAt: answer.expiresAt});
  }
}
