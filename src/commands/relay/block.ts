// `tunl relay block`: refuses a name, an address or an owner from now on, also after a restart of the relay.

import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {adminFlags, ask, blockedEvent} from '../../lib/cli/relay-admin.js';
import {TunlError} from '../../lib/core/errors.js';

export default class RelayBlock extends BaseCommand {
  static override summary = 'Refuse a name, an address or an owner.';
  static override usage = ['relay block NAME|ADDRESS|OWNER [FLAGS]', 'relay block --list [FLAGS]'];
  static override examples = [
    [
      '<%= config.bin %> relay block demo',
      '<%= config.bin %> relay block 203.0.113.0/24',
      '<%= config.bin %> relay block owner:ana',
      '<%= config.bin %> relay block demo --remove',
    ].join('\n'),
  ];
  static override args = {
    subject: string({
      ignoreStdin: true,
      description: 'demo, tcp:20001; 203.0.113.7, 2001:db8::/32; owner:NAME.',
    }),
  };
  static override flags = {
    list: boolean({summary: 'Show what is blocked.'}),
    remove: boolean({summary: 'Unblock it.'}),
    ...adminFlags,
  };

  async run(): Promise<void> {
    const {
      args: {subject},
      flags: {list, remove, pid},
    } = await this.parse(RelayBlock);
    if (list === (subject !== undefined) || (list && remove))
      throw new TunlError('USAGE', {
        reason: '`tunl relay block` needs one name, address or owner, or --list.',
      });
    if (subject !== undefined) {
      const answer = await ask(remove ? 'unblock' : 'block', {pid, words: [subject]});
      this.presenter.event(blockedEvent(remove ? 'removed' : 'added', answer));
      return;
    }
    const {entries} = await ask('blocked', {pid});
    const all = Array.isArray(entries) ? (entries as Record<string, unknown>[]) : [];
    for (const entry of all) this.presenter.event(blockedEvent('listed', entry));
    if (all.length === 0) this.presenter.tell({tone: 'plain', text: 'Nothing is blocked.'});
  }
}
