// `tunl connect`: standard input and output, or a port of this machine, joined with a tunnel, for programs that speak no TLS.

import {string} from '@oclif/core/args';
import {BaseCommand} from '../lib/cli/base-command.js';
import {CONNECT_SETTINGS, linkOf, warnOfListening} from '../lib/cli/connect-link.js';
import {hold} from '../lib/cli/hold.js';
import {refuseJson} from '../lib/cli/refuse-json.js';
import {flagsOf} from '../lib/cli/setting-flags.js';
import {joinStdio} from '../lib/cli/stdout.js';
import {listenForLink, visitLink} from '../lib/linked-visit.js';
import {ignoredProxy} from '../lib/visit.js';

export default class Connect extends BaseCommand {
  static override summary = 'Connect stdin and stdout to a tunnel, as ssh’s ProxyCommand.';
  static override usage = ['connect HOST[:PORT] [FLAGS]', 'connect [LINK] [FLAGS]'];
  static override examples = [
    [
      '<%= config.bin %> connect w3kq9fzt2m6xa7rdh5p4c6vbne.r1.example.net',
      "$ ssh -o ProxyCommand='<%= config.bin %> connect %h' dev@NAME.r1.example.net",
      '<%= config.bin %> connect --link-file link --listen 127.0.0.1:5432',
    ].join('\n'),
  ];
  static override args = {
    host: string({
      ignoreStdin: true,
      description: 'The tunnel’s name; the default port is 443. Or the link to a private one.',
    }),
  };
  static override flags = flagsOf(CONNECT_SETTINGS);

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Connect);
    const {listen} = flags;
    const warn = (message: string) => this.presenter.log({level: 'warn', scope: 'connect', message});
    const link = await linkOf(args.host, flags['link-file'], {warn});
    if (listen === undefined)
      refuseJson(flags.json, 'The bytes of the connection', 'Give --listen HOST:PORT');
    const ignored = ignoredProxy(link);
    if (ignored !== undefined) warn(ignored);
    const caFile = flags['ca-file'];
    const to = {link, ...(caFile && {caFile})};
    if (listen === undefined) return await joinStdio(await visitLink(to));
    await hold({
      drainTimeoutMs: 0,
      onLeave: () => this.presenter.end(),
      open: async () => {
        const port = await listenForLink({...to, listen, onFailed: ({message}) => warn(message)});
        warnOfListening(port.at, warn);
        this.presenter.event({type: 'connect-port', to: port.to, address: port.address});
        return port;
      },
    });
  }
}
