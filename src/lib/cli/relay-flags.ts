// The flags of `tunl relay start`, and their options in the library.

import {availableParallelism} from 'node:os';
import {choice, onOff, setting, settle, time} from '../core/settings.js';
import type {RelayOptions} from '../relay/options.js';
import {MOST_WORKERS, RELAY_SETTINGS} from '../relay/settings-table.js';
import {flagsOf, optionsOf, type ValuesOf} from './setting-flags.js';

/** Settings of the command itself. */
const COMMAND_SETTINGS = {
  drainTimeoutMs: setting(time(), {
    // Visitors of a whole relay need more time than those of one tunnel.
    default: 30_000,
    flag: 'drain-timeout',
    help: 'Time for open connections to finish at the end.',
    group: 'time',
  }),
  detach: setting(onOff, {
    default: false,
    flag: 'detach',
    help: 'Run in the background: tunl list, tunl logs, tunl stop.',
  }),
  logFormat: setting(choice('FORMAT', 'log format', ['text', 'json']), {
    default: 'text',
    flag: 'log-format',
    help: 'Diagnostics on stderr as text or json.',
    group: 'output',
  }),
};

/** A program that embeds a relay has to ask for more processes; the command uses the cores of its machine. */
const workers = {
  ...RELAY_SETTINGS.workers,
  default: workersFor(availableParallelism()),
  defaultText: 'one per core from four cores on, else 1',
};

const ALL = {...RELAY_SETTINGS, workers, ...COMMAND_SETTINGS};

/** On two or three cores the first process and the rest of the machine need what several workers would gain. */
export function workersFor(cores: number): number {
  return cores < 4 ? 1 : Math.min(cores, MOST_WORKERS);
}

export const relayStartFlags = flagsOf(ALL);

/** The flags as options of `startRelay`. */
export function relayOptions(flags: ValuesOf<typeof ALL>): RelayOptions {
  return {workers: workers.default, ...optionsOf(RELAY_SETTINGS, flags)};
}

/** The settings for the command itself. */
export function relayCommandSettings(flags: ValuesOf<typeof COMMAND_SETTINGS>) {
  return settle(COMMAND_SETTINGS, optionsOf(COMMAND_SETTINGS, flags));
}
