// `tunl relay start`: runs a relay on this machine.

import {BackgroundCommand} from '../../lib/cli/background-command.js';
import {RelayConfig} from '../../lib/cli/config/relay-config.js';
import {hold} from '../../lib/cli/hold.js';
import {listeningEvent} from '../../lib/cli/listening.js';
import {relayStartFlags} from '../../lib/cli/relay-flags.js';
import type {ListeningEvent} from '../../lib/cli/relay-start-events.js';
import type {RunningRelay} from '../../lib/relay/running-relay.js';
import {startRunningRelay} from '../../lib/relay/start.js';

export default class RelayStart extends BackgroundCommand {
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
    const config = await RelayConfig.open(flags);
    await config.applyTo(this.presenter);
    const detached = await this.startDetached<ListeningEvent>(flags.detach, 'listening');
    if (detached !== undefined) return detached.ups.forEach(this.presenter.event);
    const drainTimeoutMs = () => config.command.drainTimeoutMs;
    await hold<RunningRelay>({
      drainTimeoutMs,
      onStop: (relay) => {
        this.background?.endsBecause('stopped');
        const connections = relay.stats().visitors;
        this.presenter.event({type: 'draining', connections, timeoutMs: drainTimeoutMs()});
      },
      onReload: (relay) => void relay.reload(),
      onReaderGone: this.presenter.readerGone,
      onLeave: () => this.presenter.end(),
      open: async (signal) => {
        this.presenter.begin('starting the relay');
        const {options, reread} = config;
        const relay = await startRunningRelay({...options, signal, log: this.presenter.log}, {reread});
        relay.onDrainRequested = () => process.kill(process.pid, 'SIGTERM');
        const event = listeningEvent(relay, {...options, id: this.background?.id});
        this.presenter.event(event);
        const openVisitors = () => relay.stats().visitors;
        await this.background?.up([event], [], {drainTimeoutMs: drainTimeoutMs(), openVisitors});
        return relay;
      },
    });
    this.presenter.event({type: 'stopped'});
  }
}
