// `tunl net serve`: ports of this machine for the members of a network.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {given} from '../../lib/cli/flags.js';
import {linkOptions, networkLinkFlags} from '../../lib/cli/network/flags.js';
import {holdNetwork} from '../../lib/cli/network/hold.js';
import {flagsOf} from '../../lib/cli/setting-flags.js';
import {TunlError} from '../../lib/core/errors.js';
import {directOf, MEMBER_SETTINGS} from '../../lib/network/settings.js';

export default class NetServe extends BaseCommand {
  static override summary = 'Let members of a network connect to ports of this machine.';
  static override usage = 'net serve NETWORK --name NAME PORT… [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> net serve lab --name mac 8000',
      '<%= config.bin %> net serve lab --name db 5432:15432 --allow-in trainer',
    ].join('\n'),
  ];
  static override args = {
    network: string({required: true, ignoreStdin: true, description: 'The network’s name.'}),
    port: string({
      required: true,
      multiple: true,
      ignoreStdin: true,
      description: 'PORT, PORT:LOCAL or PORT:HOST:LOCAL, where the service listens.',
    }),
  };
  static override flags = {...flagsOf(MEMBER_SETTINGS), ...networkLinkFlags};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(NetServe);
    const {network, port: serve} = args;
    const {name, ephemeral, 'trust-relay': trustRelay, 'allow-in': allowIn} = flags;
    if (name === undefined) throw new TunlError('USAGE', {reason: '`tunl net serve` needs --name NAME.'});
    const {presenter} = this;
    const member = {name, ephemeral, trustRelay, serve, direct: directOf(flags), ...given({allowIn})};
    await holdNetwork({
      network,
      options: {...(await linkOptions(flags, presenter)), ...member},
      presenter,
      onOpen: ({address, prefix, directPort}) => {
        const ports = serve.map((each) => Number.parseInt(each, 10));
        const about = {network, name, address, prefix, ports, ...given({directPort})};
        presenter.event({type: 'network', ...about});
      },
    });
  }
}
