// `tunl share`: a further link to a private tunnel that runs.

import {string} from '@oclif/core/args';
import {boolean, string as text} from '@oclif/core/flags';
import {BaseCommand} from '../lib/cli/base-command.js';
import {flagOf} from '../lib/cli/setting-flags.js';
import {findTunnel, share} from '../lib/cli/share.js';
import {setting, time} from '../lib/core/settings.js';

export default class Share extends BaseCommand {
  static override summary = 'Make a further link to a private tunnel that runs.';
  static override usage = 'share NAME [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> share demo --expires 1h',
      '<%= config.bin %> share 8000 --once --for ana@example.com',
    ].join('\n'),
  ];
  static override args = {
    name: string({
      required: true,
      ignoreStdin: true,
      description: 'Its name or TARGET, the first part of its host, or the ID in `tunl list`.',
    }),
  };
  static override flags = {
    expires: flagOf(
      setting(time({minMs: 1}), {help: 'The link ends after this time.', defaultText: 'with the tunnel'}),
    ),
    once: boolean({summary: 'Only the first visitor who comes with it gets in.'}),
    for: text({helpValue: 'VISITOR', summary: 'Its name in the header Tunl-Visitor. (the link’s ID)'}),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Share);
    const shared = await share(await findTunnel(args.name), {
      ...(flags.expires !== undefined && {expiresMs: flags.expires}),
      ...(flags.once && {once: true}),
      ...(flags.for !== undefined && {visitor: flags.for}),
    });
    this.presenter.event(shared);
  }
}
