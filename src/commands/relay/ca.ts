// `tunl relay ca`: shows the path of this machine's CA certificate, and how to trust it.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {ensureCa, trustInstructions} from '../../lib/relay/certificates/install-ca.js';

export default class RelayCa extends BaseCommand {
  static override summary = 'Show this machine’s CA certificate, and how to trust it.';
  static override usage = 'relay ca [FLAGS]';
  static override examples = [
    ['<%= config.bin %> relay ca', '$ curl --cacert "$(<%= config.bin %> relay ca -q)" https://…'].join('\n'),
  ];

  async run(): Promise<void> {
    await this.parse(RelayCa);
    const caFile = await ensureCa();
    this.presenter.event({type: 'certificate', caFile, instructions: trustInstructions(caFile).trim()});
  }
}
