// `tunl egress forward`: ports of this machine that lead to destinations by an egress.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {egressPortFlags, holdEgress, portFacts} from '../../lib/cli/egress/ports.js';
import {readForward} from '../../lib/egress/forward.js';

export default class EgressForward extends BaseCommand {
  static override summary = 'Open ports on this machine that lead out by fixed addresses.';
  static override description =
    'For programs that know no proxy, on any system. stdout has one 127.0.0.1:PORT for each destination, in their order.';
  static override usage = 'egress forward --via NAME [LOCAL:]HOST:PORT… [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> egress forward --via db-proxy 5432:db.corp:5432',
      '<%= config.bin %> egress forward --via db-proxy db.corp:5432 cache.corp:6379',
    ].join('\n'),
  ];
  static override args = {
    destination: string({
      required: true,
      multiple: true,
      ignoreStdin: true,
      description: 'HOST:PORT, or LOCAL:HOST:PORT with the port of this machine.',
    }),
  };
  static override flags = egressPortFlags;

  async run(): Promise<void> {
    const {args, flags} = await this.parse(EgressForward);
    const destinations: readonly string[] = args.destination;
    // A mistake must not wait for the relay.
    for (const destination of destinations) readForward(destination);
    const {presenter} = this;
    await holdEgress({
      presenter,
      flags,
      begin: async (egress) => {
        for (const each of destinations) {
          const {destination, ...port} = await egress.forward(each);
          presenter.event({type: 'forward', destination, ...portFacts(egress, port)});
        }
      },
    });
  }
}
