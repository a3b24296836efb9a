// The flags of every command, and a function that leaves out missing values.

import {boolean} from '@oclif/core/flags';
import {LOG_LEVELS} from '../core/logger.js';
import {choice, setting} from '../core/settings.js';
import {flagOf} from './setting-flags.js';

/** The row of `--log-level`, which a command may also read from a file. */
export const logLevel = setting(choice('LEVEL', 'log level', LOG_LEVELS), {
  flag: 'log-level',
  help: `Diagnostics on stderr: ${LOG_LEVELS.join(', ')}.`,
  group: 'output',
  reloads: true,
});

/** The flags of every command. */
export const outputFlags = {
  quiet: boolean({char: 'q', summary: 'Only errors on stderr.', helpGroup: 'output'}),
  plain: boolean({summary: 'Only lines: no colours, no movement.', helpGroup: 'output'}),
  json: boolean({summary: 'One JSON event per line on stdout.', helpGroup: 'output'}),
  'log-level': flagOf(logLevel),
};

/** The options that were given: optional properties of the library are absent, not undefined. */
export function given<T extends object>(options: T): {[K in keyof T]?: Exclude<T[K], undefined>} {
  const present = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as {[K in keyof T]?: Exclude<T[K], undefined>};
}
