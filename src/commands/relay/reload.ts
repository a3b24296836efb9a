// `tunl relay reload`: a running relay reads its settings and files again, like SIGHUP, and says what has changed.

import {BaseCommand} from '../../lib/cli/base-command.js';
import {adminFlags, ask} from '../../lib/cli/relay-admin.js';
import {isErrorCode, TunlError} from '../../lib/core/errors.js';

export default class RelayReload extends BaseCommand {
  static override summary = 'Let a relay read its settings and files again.';
  static override usage = 'relay reload [FLAGS]';
  static override examples = ['<%= config.bin %> relay reload'];
  static override flags = adminFlags;

  async run(): Promise<void> {
    const {flags} = await this.parse(RelayReload);
    const {changed, needRestart, failed} = await ask('reload', {pid: flags.pid});
    const {code, message, next} = (failed ?? {}) as Record<string, unknown>;
    if (isErrorCode(code))
      throw new TunlError(code, {reason: `Nothing has changed: ${String(message)}`, next: String(next)});
    this.presenter.event({type: 'reloaded', changed: texts(changed), needRestart: texts(needRestart)});
  }
}

const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
