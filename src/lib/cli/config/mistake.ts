// A mistake in a configuration file, with its place.

import {type ErrorCode, TunlError, toTunlError} from '../../core/errors.js';
import {oneLine} from '../../core/one-line.js';

/** Both from 1, in characters. */
export interface Place {
  line: number;
  column: number;
}

export interface Mistake {
  /** Undefined: the mistake is in no single place of the file, or not in the file. */
  at: Place | undefined;
  code: ErrorCode;
  message: string;
  next: string;
}

/** @param label the setting, as its source names it */
export function mistakeOf(
  error: unknown,
  {at, label}: {at?: Place | undefined; label?: string} = {},
): Mistake {
  const {code, message, next} = toTunlError(error);
  return {at, code, message: label === undefined ? message : `${label}: ${message}`, next};
}

/** `relay.yaml:3:5: …` */
export function located(file: string | undefined, {at, message}: Mistake): string {
  if (file === undefined) return message;
  return at === undefined ? `${file}: ${message}` : `${file}:${at.line}:${at.column}: ${message}`;
}

/** The first mistake as an error, which says how many more there are. */
export function errorOf(
  file: string | undefined,
  mistakes: readonly Mistake[],
  command = 'tunl relay check',
): TunlError {
  const [first, ...others] = mistakes;
  if (first === undefined) return new TunlError('UNEXPECTED');
  const more = others.length === 1 ? 'There is one more mistake' : `There are ${others.length} more mistakes`;
  const all = file === undefined ? '' : `: \`${command} ${oneLine(file)}\` shows them`;
  return new TunlError(first.code, {
    reason: located(file, first),
    next: others.length === 0 ? first.next : `${first.next} ${more}${all}.`,
  });
}
