// The kinds of flags that commands share, and how their values are read.

import {boolean, custom} from '@oclif/core/flags';
import {checkHost, checkPort} from '../agent/target.js';
import {duration, durationText} from '../core/duration.js';
import {ERRORS, TunlError} from '../core/errors.js';
import type {LogLevel} from '../core/logger.js';

const LOG_LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace'];

/** oclif rewrites the message of an error that a flag's `parse` throws; the original error is its cause. */
export async function read<T>(name: string, parse: () => T): Promise<T> {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof TunlError)) throw error;
    const named = new TunlError(error.code, {reason: `--${name}: ${error.message}`, next: error.next});
    throw new Error(named.message, {cause: named});
  }
}

/** Ten years: more is a mistake, and dates still work. */
const LONGEST_MS = 3650 * 86_400_000;

type DurationLimits = {
  /** True when a duration of zero is allowed. */
  zero?: boolean;
  longestMs?: number;
};

/** `30s`, `1h30m` → milliseconds. */
export const durationFlag = custom<number, DurationLimits>({
  helpValue: 'TIME',
  parse: (text, _command, {name, zero = true, longestMs = LONGEST_MS}) =>
    read(name, () => {
      const ms = duration(text);
      if (ms <= longestMs && (zero || ms > 0)) return ms;
      const bound = ms === 0 ? 'more than 0s' : `at most ${durationText(longestMs)}`;
      throw new TunlError('OPTION_INVALID', {
        reason: `${text} is not possible.`,
        next: `Give ${bound}.`,
      });
    }),
});

/** 1 to 65535. */
export const portFlag = custom<number>({
  helpValue: 'PORT',
  parse: (text, _command, flag) =>
    read(flag.name, () => {
      if (/^[+-]?\d{1,15}$/.test(text)) return checkPort(Number(text));
      throw new TunlError('PORT_INVALID', {next: ERRORS.PORT_RANGE.next});
    }),
});

/** A host without a port. */
export const hostFlag = custom<string>({
  helpValue: 'HOST',
  parse: (text, _command, flag) => read(flag.name, () => checkHost(text)),
});

const levelFlag = custom<LogLevel>({
  helpValue: 'LEVEL',
  parse: (text, _command, flag) =>
    read(flag.name, () => {
      const level = LOG_LEVELS.find((known) => known === text);
      if (level) return level;
      throw new TunlError('OPTION_INVALID', {
        reason: 'There is no such log level.',
        next: `Give one of ${LOG_LEVELS.join(', ')}.`,
      });
    }),
});

/** The flags of every command. */
export const outputFlags = {
  quiet: boolean({char: 'q', summary: 'Only errors on stderr.', helpGroup: 'output'}),
  plain: boolean({summary: 'Only lines: no colours, no movement.', helpGroup: 'output'}),
  json: boolean({summary: 'One JSON event per line on stdout.', helpGroup: 'output'}),
  'log-level': levelFlag({
    summary: 'Diagnostics on stderr: error, warn, info, debug, trace.',
    helpGroup: 'output',
  }),
};

/** The options that were given: optional properties of the library are absent, not undefined. */
export function given<T extends object>(options: T): {[K in keyof T]?: Exclude<T[K], undefined>} {
  const present = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as {[K in keyof T]?: Exclude<T[K], undefined>};
}
