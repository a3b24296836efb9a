// `tunl sandbox doctor`: what the isolation programs can do on this machine, and how to mend what is missing.

import {BaseCommand} from '../../lib/cli/base-command.js';
import type {BackendEvent} from '../../lib/cli/sandbox/events.js';
import {backendEvent} from '../../lib/cli/sandbox/facts.js';
import {EXIT, toTunlError} from '../../lib/core/errors.js';
import type {BackendName} from '../../lib/sandbox/backend.js';
import {BACKEND_NAMES, openBackend} from '../../lib/sandbox/backends.js';

export default class SandboxDoctor extends BaseCommand {
  static override summary = 'Check what sandboxes can do on this machine, and how to mend it.';
  static override usage = 'sandbox doctor [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> sandbox doctor',
      "<%= config.bin %> sandbox doctor --json | jq 'select(.available).name'",
    ].join('\n'),
  ];

  async run(): Promise<void> {
    await this.parse(SandboxDoctor);
    const {presenter} = this;
    presenter.begin('looking at this machine');
    const events = await Promise.all(BACKEND_NAMES.map(examine));
    for (const event of events) presenter.event(event);
    // A script may ask whether any sandbox can run here.
    if (!events.some(({available}) => available)) process.exitCode = EXIT.local;
  }
}

/** Never rejects: what is wrong with one isolation program is its own finding. */
async function examine(name: BackendName): Promise<BackendEvent> {
  try {
    const backend = await openBackend(name);
    return backendEvent(await backend.probe());
  } catch (error) {
    const {message} = toTunlError(error);
    return {type: 'backend', name, available: false, why: message, findings: [], notes: []};
  }
}
