// `tunl relay ca`: shows the path of this machine's CA certificate, and how to trust it.

import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {ensureCa, findStore, trustInstructions} from '../../lib/relay/certificates/install-ca.js';

export default class RelayCa extends BaseCommand {
  static override summary = 'Show this machine’s CA certificate, and how to trust it.';
  static override usage = 'relay ca [FLAGS]';
  static override examples = [
    ['<%= config.bin %> relay ca', '$ curl --cacert "$(<%= config.bin %> relay ca -q)" https://…'].join('\n'),
  ];

  static override flags = {
    all: boolean({summary: 'Show the ways for all programs and systems.'}),
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(RelayCa);
    const caFile = await ensureCa();
    const instructions = trustInstructions(caFile, {all: flags.all, store: findStore()}).trim();
    this.presenter.event({type: 'certificate', caFile, instructions});
  }
}
