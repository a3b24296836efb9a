// `tunl hub start`: runs a hub on this machine, with the templates of a file.

import {string} from '@oclif/core/flags';
import {BackgroundCommand} from '../../lib/cli/background-command.js';
import {hold} from '../../lib/cli/hold.js';
import type {HubEvent} from '../../lib/cli/hub/events.js';
import {startConfiguredHub} from '../../lib/cli/hub/start.js';
import {TunlError} from '../../lib/core/errors.js';

export default class HubStart extends BackgroundCommand {
  static override summary = 'Run a hub: sessions on demand for its users.';
  static override usage = 'hub start --config FILE [FLAGS]';
  static override examples = [
    ['<%= config.bin %> hub start --config hub.yaml', '<%= config.bin %> hub user add ana --quota 2'].join(
      '\n',
    ),
  ];
  static override flags = {
    config: string({
      helpValue: 'FILE',
      summary: 'The settings and templates; see docs/hub.md.',
    }),
  };

  async run(): Promise<void> {
    const {config} = (await this.parse(HubStart)).flags;
    if (config === undefined) {
      throw new TunlError('USAGE', {
        reason: '`tunl hub start` needs --config FILE.',
        next: 'docs/hub.md has a file to begin with.',
      });
    }
    await hold({
      drainTimeoutMs: 0,
      onReaderGone: this.presenter.readerGone,
      onLeave: () => this.presenter.end(),
      open: async (signal) => {
        this.presenter.begin('starting the hub');
        const {hub, templates} = await startConfiguredHub(config, {signal, log: this.presenter.log});
        const sessions = hub.sessions.list().filter(({endedAt}) => endedAt === undefined).length;
        const event: HubEvent = {type: 'hub', url: hub.url, templates, sessions};
        this.presenter.event(event);
        return {closed: hub.closed, close: () => hub.close()};
      },
    });
    this.presenter.event({type: 'stopped'});
  }
}
