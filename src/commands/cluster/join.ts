// `tunl cluster join`: this machine as one member of a cluster over several machines.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {joinFlags, joinOptions} from '../../lib/cli/cluster/flags.js';
import {holdCluster} from '../../lib/cli/cluster/run.js';
import {checkRelayFlags} from '../../lib/cli/combinations.js';
import {withContext} from '../../lib/cli/contexts.js';
import {commandWords} from '../../lib/cli/sandbox/command-words.js';

export default class ClusterJoin extends BaseCommand {
  static override summary = 'Run a program on several machines, this one among them.';
  static override description =
    'The same command on each machine. All start when all are there, and end when one fails.';
  static override usage = 'cluster join NAME --size N [FLAGS] -- COMMAND…';
  static override examples = [
    [
      '<%= config.bin %> cluster join train --size 2 -- python3 train.py',
      '<%= config.bin %> cluster join train --size 2 --rank 0 -- ./start.sh {rank} {master}',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override args = {
    name: string({required: true, ignoreStdin: true, description: 'The same on all machines.'}),
  };
  static override flags = joinFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(ClusterJoin);
    const {presenter} = this;
    const flags = await withContext(parsed.flags, (text) => presenter.tell({tone: 'faint', text}));
    checkRelayFlags(flags);
    const words = commandWords(this.passedWords, 'tunl cluster join train --size 2 -- python3 train.py');
    const options = await joinOptions(parsed.args.name, flags);
    const {JoinedCluster} = await import('../../lib/cluster/joined.js');
    const begin = async (shown: object) => new JoinedCluster(words, {...options, ...shown});
    process.exitCode = await holdCluster({presenter, json: flags.json, begin});
  }
}
