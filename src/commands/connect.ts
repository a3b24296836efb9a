// `tunl connect`: standard input and output joined with a tunnel's TLS name, for programs that speak no TLS.

import {string} from '@oclif/core/args';
import {LINK_SETTINGS} from '../lib/agent/settings-table.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {flagsOf} from '../lib/cli/setting-flags.js';
import {joinStdio} from '../lib/cli/stdout.js';
import {ignoredProxy, visit, visitedPlace} from '../lib/visit.js';

/** Without the heading of the flags for a relay. */
const {group: _, ...caFile} = LINK_SETTINGS.caFile;

export default class Connect extends BaseCommand {
  static override summary = 'Connect stdin and stdout to a tunnel, as ssh’s ProxyCommand.';
  static override usage = 'connect HOST[:PORT] [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> connect w3kq9fzt2m6xa7rdh5p4c6vbne.r1.example.net',
      "$ ssh -o ProxyCommand='<%= config.bin %> connect %h' dev@NAME.r1.example.net",
    ].join('\n'),
  ];
  static override args = {
    host: string({
      required: true,
      ignoreStdin: true,
      description: 'The tunnel’s name; the default port is 443.',
    }),
  };
  static override flags = flagsOf({caFile});

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Connect);
    const caFile = flags['ca-file'];
    const place = visitedPlace(args.host);
    const ignored = ignoredProxy(place);
    if (ignored !== undefined) this.presenter.log({level: 'warn', scope: 'connect', message: ignored});
    const socket = await visit({...place, ...(caFile && {caFile})});
    await joinStdio(socket);
  }
}
