// `tunl egress listen`: a proxy on this machine whose connections leave by an egress.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {holdEgress, portFacts, proxyFlags} from '../../lib/cli/egress/ports.js';
import {endStdout} from '../../lib/cli/stdout.js';
import {proxyEnv} from '../../lib/egress/proxy/proxy-env.js';
import {readListen} from '../../lib/egress/proxy/proxy-port.js';

export default class EgressListen extends BaseCommand {
  static override summary = 'Open a proxy on this machine that leaves by fixed addresses.';
  static override description =
    'One port for HTTP (CONNECT and http:// requests) and SOCKS 5, with a password of this run. stdout has its URL.';
  static override usage = 'egress listen --via NAME [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> egress listen --via my-proxy',
      '$ source <(<%= config.bin %> egress listen --via my-proxy --env)',
      '<%= config.bin %> egress listen --via my-proxy --listen 127.0.0.1:1080 --no-auth',
    ].join('\n'),
  ];
  static override flags = proxyFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(EgressListen);
    const at = flags.listen === undefined ? {} : readListen(flags.listen);
    const {presenter} = this;
    await holdEgress({
      presenter,
      flags,
      begin: async (egress) => {
        const {url, password, ...port} = await egress.listen({...at, auth: !flags['no-auth']});
        presenter.event({
          type: 'proxy',
          url,
          ...(password !== undefined && {password}),
          ...(flags.env && {env: proxyEnv(url)}),
          ...portFacts(egress, port),
        });
        if (flags.env && !flags.json) await endStdout();
      },
    });
  }
}
