// The flags of `tunl relay start`, and the table of everything that can be set for it.

import {availableParallelism} from 'node:os';
import {choice, file, onOff, setting, time} from '../core/settings.js';
import {MOST_WORKERS, RELAY_SETTINGS} from '../relay/settings-table.js';
import {logLevel} from './flags.js';
import {flagsOf, hidden, type ValuesOf} from './setting-flags.js';

/** Settings of the command itself. */
export const COMMAND_SETTINGS = {
  drainTimeoutMs: setting(time(), {
    // Visitors of a whole relay need more time than those of one tunnel.
    default: 30_000,
    flag: 'drain-timeout',
    help: 'Time for open connections to finish at the end.',
    group: 'time',
    reloads: true,
  }),
  logFormat: setting(choice('FORMAT', 'log format', ['text', 'json']), {
    default: 'text',
    flag: 'log-format',
    help: 'Diagnostics on stderr as text or json.',
    group: 'output',
  }),
  logLevel: {...logLevel, defaultText: 'warn'},
};

/** A program that embeds a relay has to ask for more processes; the command uses the cores of its machine. */
const workers = {
  ...RELAY_SETTINGS.workers,
  default: workersFor(availableParallelism()),
  defaultText: 'one per core from four cores on, else 1',
};

/** Somebody operates a relay that runs by itself. */
const admin = {...RELAY_SETTINGS.admin, default: true};

/** The settings that flags, variables and a configuration file can give. */
export const CONFIG_SETTINGS = {...RELAY_SETTINGS, admin, workers, ...COMMAND_SETTINGS};

/** On two or three cores the first process and the rest of the machine need what several workers would gain. */
export function workersFor(cores: number): number {
  return cores < 4 ? 1 : Math.min(cores, MOST_WORKERS);
}

/** Settings about the configuration and the process, which no file can set. */
export const ONLY_FLAGS = {
  config: setting(file, {
    flag: 'config',
    env: 'TUNL_RELAY_CONFIG',
    help: 'YAML file with settings named like these flags.',
  }),
  detach: setting(onOff, {
    default: false,
    flag: 'detach',
    help: 'Run in the background: tunl list, tunl logs, tunl stop.',
  }),
};

// Every command has the flag of the log level.
const {'log-level': _level, ...SETTING_FLAGS} = flagsOf(CONFIG_SETTINGS);
const {config, detach} = flagsOf(ONLY_FLAGS);

/** The file that has the other settings comes first. */
export const relayStartFlags = {config, ...SETTING_FLAGS, detach};

/** The flags of a command that shows what `relay start` would do. Its own help is enough, so only one is shown. */
export const relayConfigFlags = {config, ...hidden(SETTING_FLAGS)};

export type RelayFlags = Partial<ValuesOf<typeof CONFIG_SETTINGS & typeof ONLY_FLAGS>>;
