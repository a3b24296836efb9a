// `tunl net forward`: a port of this machine that leads to a port of a member.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {warnOfListening} from '../../lib/cli/connect-link.js';
import {linkOptions, networkLinkFlags} from '../../lib/cli/network/flags.js';
import {holdNetwork} from '../../lib/cli/network/hold.js';
import {isMissing, missingNotice} from '../../lib/cli/network/missing.js';
import {flagsOf} from '../../lib/cli/setting-flags.js';
import {setting, text} from '../../lib/core/settings.js';
import {NETWORK_SETTINGS} from '../../lib/network/settings.js';

const LISTEN = {
  listen: setting(text('HOST:PORT'), {
    flag: 'listen',
    help: 'The port of this machine.',
    defaultText: 'a free one',
  }),
};

export default class NetForward extends BaseCommand {
  static override summary = 'Open a port on this machine that leads to a member.';
  static override usage = 'net forward NETWORK NAME:PORT [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> net forward lab trainer:8000',
      '<%= config.bin %> net forward lab db:5432 --listen 127.0.0.1:5432',
    ].join('\n'),
  ];
  static override args = {
    network: string({required: true, ignoreStdin: true, description: 'The network’s name.'}),
    member: string({
      required: true,
      ignoreStdin: true,
      description: 'NAME:PORT or [ADDRESS]:PORT of a member.',
    }),
  };
  static override flags = {...flagsOf({...LISTEN, ...NETWORK_SETTINGS}), ...networkLinkFlags};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(NetForward);
    const {network, member: to} = args;
    const {presenter} = this;
    const {readMemberPort} = await import('../../lib/network/target.js');
    const {name: wanted} = readMemberPort(to);
    const options = {...(await linkOptions(flags, presenter)), trustRelay: flags['trust-relay']};
    await holdNetwork({
      network,
      options,
      presenter,
      onOpen: async (member) => {
        const port = await member.forward(to, flags.listen === undefined ? {} : {listen: flags.listen});
        const warn = (message: string) => presenter.log({level: 'warn', scope: 'network', message});
        warnOfListening(port, warn);
        presenter.event({type: 'member-port', network, to, address: port.address});
        if (isMissing(member, wanted)) presenter.event(missingNotice(network, wanted));
      },
    });
  }
}
