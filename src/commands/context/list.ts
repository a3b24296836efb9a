// `tunl context list`: the stored logins.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {contextEvent, contexts, embeddedEvent} from '../../lib/cli/contexts.js';

export default class ContextList extends BaseCommand {
  static override summary = 'Show the stored logins.';
  static override usage = 'context list [FLAGS]';
  static override examples = ['<%= config.bin %> context list'];

  async run(): Promise<void> {
    await this.parse(ContextList);
    const stored = contexts();
    const [all, current] = await Promise.all([stored.all(), stored.current()]);
    this.presenter.event(embeddedEvent(current === undefined));
    for (const each of all) this.presenter.event(contextEvent(each, current));
  }
}
