// `tunl relay check FILE`: says every mistake in a configuration file, and in the files that it names.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {checkRelayConfig} from '../../lib/cli/config/relay-config.js';
import {count} from '../../lib/cli/format.js';
import {TunlError} from '../../lib/core/errors.js';

export default class RelayCheck extends BaseCommand {
  static override summary = 'Find the mistakes in a configuration file.';
  static override usage = 'relay check FILE';
  static override examples = [
    [
      '<%= config.bin %> relay check relay.yaml',
      '<%= config.bin %> relay check relay.yaml && systemctl reload tunl-relay@a',
    ].join('\n'),
  ];
  static override args = {
    file: string({required: true, ignoreStdin: true, description: 'A file for `relay start --config`.'}),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(RelayCheck);
    const {file} = args;
    const mistakes = await checkRelayConfig({config: file}, this.presenter.log);
    for (const {at, ...mistake} of mistakes) this.presenter.event({type: 'mistake', file, ...at, ...mistake});
    if (mistakes.length > 0) {
      throw new TunlError('CONFIG_INVALID', {reason: `${file} has ${count(mistakes.length, 'mistake')}.`});
    }
    this.presenter.event({type: 'checked', file});
  }
}
