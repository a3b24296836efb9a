// `tunl relay kick`: ends sessions of agents, or one tunnel.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {adminFlags, ask} from '../../lib/cli/relay-admin.js';

export default class RelayKick extends BaseCommand {
  static override summary = 'End a session, all sessions of an owner, or a tunnel.';
  static override usage = 'relay kick SESSION|OWNER|NAME [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> relay kick 3f2a1b9c',
      '<%= config.bin %> relay kick owner:ana',
      '<%= config.bin %> relay kick demo',
    ].join('\n'),
  ];
  static override args = {
    subject: string({required: true, ignoreStdin: true, description: 'As `tunl relay status` shows it.'}),
  };
  static override flags = adminFlags;

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RelayKick);
    const {what, subject, ended} = await ask('kick', {pid: flags.pid, words: [args.subject]});
    this.presenter.event({
      type: 'kicked',
      what: what as 'session' | 'owner' | 'name',
      subject: String(subject),
      ended: Number(ended),
    });
  }
}
