// `tunl ssh`: an sshd behind a public address, which accepts the given keys.

import {boolean} from '@oclif/core/flags';
import {keyFlags, keysOf} from '../lib/cli/ssh-keys.js';
import {TunnelCommand} from '../lib/cli/tunnel-command.js';
import {
  copyFlag,
  launchOptions,
  lifeFlags,
  nameFlags,
  programFlags,
  relayFlags,
  remotePortFlag,
} from '../lib/cli/tunnel-flags.js';
import {TunlError} from '../lib/core/errors.js';
import {stateDir} from '../lib/core/state-dir.js';
import {sshd} from '../lib/launch/programs/sshd.js';
import {ensureCa} from '../lib/relay/certificates/install-ca.js';

export default class Ssh extends TunnelCommand {
  static override summary = 'Log in to this machine by ssh, with the keys that you give.';
  static override usage = 'ssh [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> ssh --key ~/.ssh/id_ed25519.pub',
      '<%= config.bin %> ssh --github octocat --tls',
      '<%= config.bin %> ssh --agent-keys --expires 2h',
    ].join('\n'),
  ];
  static override flags = {
    ...keyFlags,
    tls: boolean({summary: 'Use the TLS name instead of a port that bots find.'}),
    ...remotePortFlag,
    ...programFlags,
    ...nameFlags,
    ...lifeFlags,
    ...relayFlags,
    ...copyFlag,
  };

  async run(): Promise<void> {
    const {flags} = await this.parse(Ssh);
    if (flags.tls && flags['remote-port'] !== undefined)
      throw new TunlError('USAGE', {
        reason: 'With --tls there is no port of its own at the relay.',
        next: 'Leave out --tls or --remote-port.',
      });
    const keys = await keysOf(flags, (text) => this.presenter.tell({tone: 'warning', text}));
    // TUNL_CA_FILE may be meant for another relay than the one inside this process.
    const embeddedCa = flags.tls && !flags.relay ? await ensureCa() : undefined;
    const caFile = embeddedCa ?? flags['ca-file'];
    const program = await sshd({
      keys,
      stateDir: stateDir(),
      via: flags.tls ? 'tls' : 'tcp',
      ...(caFile !== undefined && {caFile}),
    });
    await this.holdProgram(program, flags, {tcp: !flags.tls, launch: launchOptions(flags)});
  }
}
