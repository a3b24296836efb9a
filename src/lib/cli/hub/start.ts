// Starts a hub from its file.

import {TunlError} from '../../core/errors.js';
import type {LogSink} from '../../core/logger.js';
import {stateDir as usualStateDir} from '../../core/state-dir.js';
import {type Hub, startHub} from '../../hub/hub.js';
import {type Connection, SupervisedSandboxes} from '../../hub/supervised.js';
import {readHubConfig} from '../config/hub-config.js';
import {errorOf} from '../config/mistake.js';

/** @throws TunlError CONFIG_*, HUB_RUNS, RELAY_NEEDED, and those of `startHub` */
export async function startConfiguredHub(
  path: string,
  {signal, log}: {signal: AbortSignal; log: LogSink},
): Promise<{hub: Hub; templates: readonly string[]}> {
  const {settings, templates, mistakes} = await readHubConfig(path);
  if (mistakes.length > 0) throw errorOf(path, mistakes, 'tunl hub check');
  const {relay, context, token, tokenFile, caFile} = settings;
  if (relay === undefined && context === undefined) {
    throw new TunlError('USAGE', {
      reason: 'The hub needs a relay: each session has an address of its own there.',
      next: 'Add `relay: https://…` to the file; `tunl relay start` runs one.',
    });
  }
  const given = Object.entries({relay, context, token, tokenFile, caFile});
  const connection: Connection = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  const stateDir = usualStateDir();
  const {name, mostSessions, startsAtOnce, mostQueued, freeMemory, freeDisk, readyTimeoutMs} = settings;
  const hub = await startHub({
    stateDir,
    templates,
    sandboxes: new SupervisedSandboxes(stateDir, connection),
    // The agents of sessions wait as long for a relay that is away.
    forward: {...connection, signal},
    name,
    mostSessions,
    mostQueued,
    floors: {freeMemoryBytes: freeMemory, freeDiskBytes: freeDisk},
    readyTimeoutMs,
    log,
    ...(startsAtOnce !== undefined && {startsAtOnce}),
  });
  return {hub, templates: templates.map((each) => each.name)};
}
