// `tunl context use`: chooses the login that commands use.

import {string} from '@oclif/core/args';
import {EMBEDDED} from '../../lib/agent/login/contexts.js';
import {BaseCommand} from '../../lib/cli/base-command.js';
import {contextEvent, contexts, embeddedEvent} from '../../lib/cli/contexts.js';

export default class ContextUse extends BaseCommand {
  static override summary = 'Choose the login that commands use.';
  static override usage = 'context use NAME [FLAGS]';
  static override examples = [
    ['<%= config.bin %> context use t.example.com', `<%= config.bin %> context use ${EMBEDDED}`].join('\n'),
  ];
  static override args = {
    context: string({
      required: true,
      ignoreStdin: true,
      description: `A name in \`tunl context list\`; ${EMBEDDED}: a relay inside each command.`,
    }),
  };

  async run(): Promise<void> {
    const {args} = await this.parse(ContextUse);
    const stored = contexts();
    const isEmbedded = args.context === EMBEDDED;
    await stored.use(isEmbedded ? undefined : args.context);
    this.presenter.event(
      isEmbedded ? embeddedEvent(true) : contextEvent(await stored.get(args.context), args.context),
    );
  }
}
