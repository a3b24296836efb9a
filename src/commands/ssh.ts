// `tunl ssh`: an sshd behind a public address, which accepts the given keys.

import {boolean} from '@oclif/core/flags';
import {withContext} from '../lib/cli/contexts.js';
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
import {visitorsCa} from '../lib/cli/visitors-ca.js';
import {TunlError} from '../lib/core/errors.js';
import {usableState} from '../lib/core/usable-state.js';
import {sshd} from '../lib/launch/programs/sshd.js';

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
    const {flags: given} = await this.parse(Ssh);
    if (given.tls && given['remote-port'] !== undefined)
      throw new TunlError('USAGE', {
        reason: 'With --tls there is no port of its own at the relay.',
        next: 'Leave out --tls or --remote-port.',
      });
    const flags = await withContext(given, (text) => this.presenter.tell({tone: 'faint', text}));
    const keys = await keysOf(flags, (text) => this.presenter.tell({tone: 'warning', text}));
    const caFile = flags.tls ? await visitorsCa(flags) : undefined;
    const program = await sshd({
      keys,
      stateDir: usableState({mustWrite: true}).path,
      via: flags.tls ? 'tls' : 'tcp',
      ...(caFile !== undefined && {caFile}),
    });
    await this.holdProgram(program, flags, {tcp: !flags.tls, launch: launchOptions(flags)});
  }
}
