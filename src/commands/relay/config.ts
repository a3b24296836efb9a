// `tunl relay config`: shows the settings that `relay start` would have with the same flags, and where each comes from.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {withoutMistakes} from '../../lib/cli/config/relay-config.js';
import {settingEvent} from '../../lib/cli/config/shown.js';
import {refuseJson} from '../../lib/cli/refuse-json.js';
import {relayConfigFlags} from '../../lib/cli/relay-flags.js';
import {writeLine} from '../../lib/cli/stdout.js';

export default class RelayConfigCommand extends BaseCommand {
  static override summary = 'Show the settings of a relay, and where they come from.';
  static override usage = 'relay config [FLAGS of relay start]';
  static override examples = [
    [
      '<%= config.bin %> relay config --config relay.yaml --sources',
      '$ <%= config.bin %> relay config --example > relay.yaml',
    ].join('\n'),
  ];
  static override flags = {
    sources: boolean({summary: 'Say where each value comes from.'}),
    example: boolean({summary: 'Print a configuration file with every setting, as comments.'}),
    ...relayConfigFlags,
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(RelayConfigCommand);
    const {sources, example, ...relayFlags} = flags;
    if (example) {
      refuseJson(flags.json, 'The lines of the file');
      const {exampleFile} = await import('../../lib/cli/config/reference.js');
      return writeLine(exampleFile().trimEnd());
    }
    const {all} = await withoutMistakes(relayFlags);
    for (const each of all) this.presenter.event(settingEvent(each, sources));
  }
}
