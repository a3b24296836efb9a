// `tunl relay start`: a whole relay on this machine.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {hold} from '../../lib/cli/hold.js';
import {listeningEvent} from '../../lib/cli/listening.js';
import {relayOptions, relayStartFlags} from '../../lib/cli/relay-flags.js';
import type {Relay} from '../../lib/relay/options.js';
import {startRelay} from '../../lib/relay/start.js';

/** Visitors of a whole relay deserve more time than those of one tunnel. */
const DRAIN_TIMEOUT_MS = 30_000;

export default class RelayStart extends BaseCommand {
  static override summary = 'Run a relay on this machine.';
  static override usage = 'relay start [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> relay start',
      '<%= config.bin %> relay start --tcp-ports 20000-20999',
      '<%= config.bin %> relay start --domain r1.example.net --listen 0.0.0.0:443 \\',
      '    --token-file token --cert-file fullchain.pem --key-file privkey.pem',
    ].join('\n'),
  ];
  static override flags = relayStartFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(RelayStart);
    const drainTimeoutMs = flags['drain-timeout'] ?? DRAIN_TIMEOUT_MS;
    await hold<Relay>({
      drainTimeoutMs,
      onStop: (relay) =>
        this.presenter.event({
          type: 'draining',
          connections: relay.stats().visitors,
          timeoutMs: drainTimeoutMs,
        }),
      onReload: (relay) => void relay.reload(),
      onReaderGone: this.presenter.readerGone,
      onLeave: () => this.presenter.end(),
      open: async (signal) => {
        this.presenter.begin('starting the relay');
        const relay = await startRelay({
          ...relayOptions(flags),
          signal,
          log: this.presenter.log,
        });
        this.presenter.event(listeningEvent(relay));
        return relay;
      },
    });
    this.presenter.event({type: 'stopped'});
  }
}
