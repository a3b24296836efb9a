// `tunl remove`: ends one tunnel of a command in the background; the others go on.

import {string} from '@oclif/core/args';
import {readAddress} from '../lib/cli/background-control.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {flagOf} from '../lib/cli/setting-flags.js';
import {setting, time} from '../lib/core/settings.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

/** The time after the drain, because the link may be slow. */
const ANSWER_MS = 10_000;

export default class Remove extends BaseCommand {
  static override summary = 'End one tunnel of a command in the background.';
  static override usage = 'remove ID NAME [FLAGS]';
  static override examples = [
    ['<%= config.bin %> remove k3f9a2 5432', '<%= config.bin %> remove k3f9a2 demo --drain-timeout 0s'].join(
      '\n',
    ),
  ];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID in `tunl list`.'}),
    name: string({
      required: true,
      ignoreStdin: true,
      description: 'Its name, or its target as given to the command.',
    }),
  };
  static override flags = {
    'drain-timeout': flagOf(
      setting(time(), {help: 'Time for its connections to finish.', defaultText: 'that of the command'}),
    ),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Remove);
    const roster = new Roster(stateDir());
    const entry = await roster.get(args.id);
    const drainTimeoutMs = flags['drain-timeout'];
    const answer = await roster.ask(
      entry,
      {do: 'remove', name: args.name, ...(drainTimeoutMs !== undefined && {drainTimeoutMs})},
      (drainTimeoutMs ?? entry.drainTimeoutMs ?? 0) + ANSWER_MS,
    );
    const {tunnel, address} = readAddress(answer);
    this.presenter.event({type: 'removed', id: entry.id, tunnel, address});
  }
}
