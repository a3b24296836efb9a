// `tunl cluster run`: a program on several members of this machine.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {clusterOptions, runFlags} from '../../lib/cli/cluster/flags.js';
import {holdCluster} from '../../lib/cli/cluster/run.js';
import {checkRelayFlags} from '../../lib/cli/combinations.js';
import {withContext} from '../../lib/cli/contexts.js';
import {commandWords} from '../../lib/cli/sandbox/command-words.js';

export default class ClusterRun extends BaseCommand {
  static override summary = 'Run a program on several members of this machine.';
  static override description =
    '{size}, {rank}, {master} and {addrs} in its words are replaced. When one member fails, all end.';
  static override usage = 'cluster run --size N [FLAGS] -- COMMAND…';
  static override examples = [
    [
      '<%= config.bin %> cluster run --size 4 -- python3 train.py',
      '<%= config.bin %> cluster run --size 2 --expose 0:8787 -- ./start.sh {rank} {master}',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override flags = runFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(ClusterRun);
    const {presenter} = this;
    const flags = await withContext(parsed.flags, (text) => presenter.tell({tone: 'faint', text}));
    checkRelayFlags(flags);
    const words = commandWords(this.passedWords, 'tunl cluster run --size 4 -- python3 train.py');
    const options = await clusterOptions(flags);
    const {LocalCluster} = await import('../../lib/cluster/local.js');
    const begin = async (shown: object) => new LocalCluster(words, {...options, ...shown});
    process.exitCode = await holdCluster({presenter, json: flags.json, begin});
  }
}
