// The flags of every command, and what is given of optional values.

import {boolean} from '@oclif/core/flags';
import {TunlError} from '../core/errors.js';
import {LOG_LEVELS, type LogLevel} from '../core/logger.js';
import {type Kind, setting} from '../core/settings.js';
import {flagOf} from './setting-flags.js';

const level: Kind<LogLevel> = {
  placeholder: 'LEVEL',
  parse: (text) => {
    const known = LOG_LEVELS.find((each) => each === text);
    if (known) return known;
    throw new TunlError('OPTION_INVALID', {
      reason: 'There is no such log level.',
      next: `Give one of ${LOG_LEVELS.join(', ')}.`,
    });
  },
  check: (value) => value,
  show: String,
};

/** The flags of every command. */
export const outputFlags = {
  quiet: boolean({char: 'q', summary: 'Only errors on stderr.', helpGroup: 'output'}),
  plain: boolean({summary: 'Only lines: no colours, no movement.', helpGroup: 'output'}),
  json: boolean({summary: 'One JSON event per line on stdout.', helpGroup: 'output'}),
  'log-level': flagOf(
    setting(level, {help: `Diagnostics on stderr: ${LOG_LEVELS.join(', ')}.`, group: 'output'}),
  ),
};

/** The options that were given: optional properties of the library are absent, not undefined. */
export function given<T extends object>(options: T): {[K in keyof T]?: Exclude<T[K], undefined>} {
  const present = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as {[K in keyof T]?: Exclude<T[K], undefined>};
}
