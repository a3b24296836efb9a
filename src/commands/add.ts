// `tunl add`: adds a target to a command that runs in the background.

import {string} from '@oclif/core/args';
import {readTarget, targetLabel} from '../lib/agent/upstreams/target.js';
import {readAddress} from '../lib/cli/background-control.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {noteReserved, readTargets} from '../lib/cli/targets.js';
import {warnOfSilence} from '../lib/cli/warn-of-silence.js';
import {TunlError} from '../lib/core/errors.js';
import {stateDir} from '../lib/core/state-dir.js';
import {Roster} from '../lib/launch/roster.js';

/** Without a link the command waits 10 s. With --wait in the background it may take longer; then nothing is added. */
const ADD_MS = 30_000;

export default class Add extends BaseCommand {
  static override summary = 'Add a target to a command in the background.';
  static override usage = 'add ID [NAME=]TARGET[:tcp] [FLAGS]';
  static override examples = [
    ['<%= config.bin %> add k3f9a2 5432:tcp', '<%= config.bin %> add k3f9a2 demo=8080'].join('\n'),
  ];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID in `tunl list`.'}),
    target: string({
      required: true,
      ignoreStdin: true,
      description: 'As for `tunl expose`. The flags of the command in the background apply to it.',
    }),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(Add);
    const [target] = readTargets([args.target], {tcp: false, subdomain: undefined});
    if (target === undefined) throw new TunlError('USAGE');
    const roster = new Roster(stateDir());
    const entry = await roster.get(args.id);
    const {name, subdomain, tcp} = target;
    const answer = await roster.ask(
      entry,
      {do: 'add', name, tcp, target: absolute(target.target), ...(subdomain !== undefined && {subdomain})},
      ADD_MS,
    );
    const added = readAddress(answer);
    noteReserved([target], this.presenter.tell);
    this.presenter.event({type: 'added', id: entry.id, ...added});
    await warnOfSilence(readTarget(added.upstream), this.presenter, {wait: false, getPage: false});
  }
}

/** A path is relative to the folder of this command; the other process may have another one. */
function absolute(text: string): string {
  const target = readTarget(text);
  return target.kind === 'unix' || target.kind === 'folder' ? targetLabel(target) : text;
}
