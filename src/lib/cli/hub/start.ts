// Starts a hub from its file.

import {Contexts} from '../../agent/login/contexts.js';
import type {LogSink} from '../../core/logger.js';
import {stateDir} from '../../core/state-dir.js';
import type {Hub} from '../../hub/hub.js';
import {startFrom} from '../../hub/open-hub.js';
import {readHubConfig} from '../config/hub-config.js';
import {errorOf} from '../config/mistake.js';

/** @throws TunlError CONFIG_*, USAGE without a relay, HUB_RUNS, and others of `startHub` */
export async function startConfiguredHub(
  path: string,
  options: {signal: AbortSignal; log: LogSink},
): Promise<{hub: Hub; templates: readonly string[]}> {
  const {settings, templates, mistakes} = await readHubConfig(path);
  if (mistakes.length > 0) throw errorOf(path, mistakes, 'tunl hub check');
  const folder = stateDir();
  // As for other commands; a program that starts a hub says which relay it means.
  const context = (await new Contexts(folder).currentBeside(settings)) ?? settings.context;
  const hub = await startFrom({settings: {...settings, context}, templates, stateDir: folder}, options);
  return {hub, templates: templates.map((each) => each.name)};
}
