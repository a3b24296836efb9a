// `tunl expose`: a public address for a local port.

import {string} from '@oclif/core/args';
import {parseTarget} from '../lib/agent/target.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {exposeFlags, forwardOptions} from '../lib/cli/expose-flags.js';
import {hold} from '../lib/cli/hold.js';
import {forward} from '../lib/forward.js';

/** Long enough for a page or a request, short enough for who waits at the terminal. */
const DRAIN_TIMEOUT_MS = 5000;

export default class Expose extends BaseCommand {
  static override summary = 'Give a local port a public address.';
  static override usage = 'expose TARGET [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> expose 8000',
      '<%= config.bin %> expose 5432 --tcp',
      '<%= config.bin %> expose 192.168.1.9:3000 --subdomain demo',
      '<%= config.bin %> expose 8000 --relay https://relay.example.net --token-file token',
      '<%= config.bin %> expose 8000 --json | jq --unbuffered -r .type',
    ].join('\n'),
  ];
  static override args = {
    target: string({
      required: true,
      ignoreStdin: true,
      description: 'PORT or HOST:PORT of the local service.',
    }),
  };
  static override flags = exposeFlags;

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Expose);
    const target = parseTarget(args.target, flags['local-host']);
    const drainTimeoutMs = flags['drain-timeout'] ?? DRAIN_TIMEOUT_MS;
    await hold({
      drainTimeoutMs,
      onReaderGone: this.presenter.readerGone,
      onLeave: () => this.presenter.end(),
      open: (signal) => {
        this.presenter.begin('connecting to the relay');
        return forward(target.port, {
          ...forwardOptions(flags),
          host: target.host,
          drainTimeoutMs,
          signal,
          onEvent: this.presenter.event,
          log: this.presenter.log,
        });
      },
    });
  }
}
