// `tunl hub check FILE`: says every mistake in the file of a hub.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {readHubConfig} from '../../lib/cli/config/hub-config.js';
import {count} from '../../lib/cli/format.js';
import {TunlError} from '../../lib/core/errors.js';

export default class HubCheck extends BaseCommand {
  static override summary = 'Find the mistakes in the file of a hub.';
  static override usage = 'hub check FILE';
  static override examples = ['<%= config.bin %> hub check hub.yaml'];
  static override args = {
    file: string({required: true, ignoreStdin: true, description: 'A file for `hub start --config`.'}),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(HubCheck);
    const {file} = args;
    const {mistakes} = await readHubConfig(file);
    for (const {at, ...mistake} of mistakes) this.presenter.event({type: 'mistake', file, ...at, ...mistake});
    if (mistakes.length > 0)
      throw new TunlError('CONFIG_INVALID', {reason: `${file} has ${count(mistakes.length, 'mistake')}.`});
    this.presenter.event({type: 'checked', file});
  }
}
