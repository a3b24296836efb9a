// The flags of `tunl sandbox run` and `exec`, and their options in the library.

import {ADDRESS_SETTINGS, GATE_SETTINGS, LINK_SETTINGS, PROBE_SETTINGS} from '../../agent/settings-table.js';
import {file, list, onOff, setting, text} from '../../core/settings.js';
import type {SandboxOptions} from '../../sandbox/options.js';
import {SANDBOX_SETTINGS} from '../../sandbox/settings.js';
import {flagsOf, optionsOf, type ValuesOf} from '../setting-flags.js';
import {environment} from './env.js';
import type {Asked} from './facts.js';
import {mountOf} from './mounts.js';

const ENV_SETTINGS = {
  env: setting(list(text('K[=V]')), {
    flag: 'env',
    help: 'A variable inside; K alone has its value here.',
  }),
  envFile: setting(list(file), {flag: 'env-file', help: 'Variables inside, one a line.'}),
};

const RUN_SETTINGS = {
  mounts: setting(list(text('SRC:DST[:ro]')), {
    flag: 'mount',
    help: 'A folder or file of this machine inside.',
  }),
  detach: setting(onOff, {default: false, flag: 'detach', help: 'Return when it answers; it goes on.'}),
};

const TUNNEL_SETTINGS = {
  private: {...GATE_SETTINGS.private, help: 'Only with the printed link.'},
  ...ADDRESS_SETTINGS,
  ...LINK_SETTINGS,
  ...PROBE_SETTINGS,
};

export const envFlags = flagsOf(ENV_SETTINGS);
export const runFlags = {
  ...flagsOf(SANDBOX_SETTINGS),
  ...envFlags,
  ...flagsOf(RUN_SETTINGS),
  ...flagsOf(TUNNEL_SETTINGS),
};

type RunFlags = ValuesOf<typeof SANDBOX_SETTINGS> &
  ValuesOf<typeof ENV_SETTINGS> &
  ValuesOf<typeof RUN_SETTINGS> &
  ValuesOf<typeof TUNNEL_SETTINGS>;

/** @throws TunlError OPTION_INVALID, FILE_UNREADABLE, FOLDER_MISSING */
export async function sandboxOptions(flags: RunFlags): Promise<SandboxOptions> {
  return {
    ...optionsOf(SANDBOX_SETTINGS, flags),
    ...optionsOf(TUNNEL_SETTINGS, flags),
    env: await environment(flags.env, flags['env-file']),
    mounts: await Promise.all((flags.mount ?? []).map(mountOf)),
  };
}

export function askedOf(flags: RunFlags): Asked {
  const given = {
    memoryBytes: flags.memory,
    cpus: flags.cpu,
    pids: flags.pids,
    diskBytes: flags.disk,
    openFiles: flags['open-files'],
  };
  const limits = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  const ports = [flags.port, flags['h2-port'], flags['tcp-port']].flatMap((each) => each ?? []);
  return {ports, limits};
}
