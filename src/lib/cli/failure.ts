// The failure of a command: anything thrown becomes one `error` event, two or three lines for people, and an exit code.

import {CLIError, ExitError, ModuleLoadError} from '@oclif/core/errors';
import type {ErrorEvent} from '../agent/events.js';
import {ERRORS, TunlError, toTunlError} from '../core/errors.js';
import {oneLine} from '../core/one-line.js';
import {jsonLogLine} from './json-log.js';
import {nextStep} from './next-steps.js';
import {writeLine} from './stdout.js';
import {type EarlyFlags, withoutSecrets} from './words.js';

/**
 * Reports `error` once, on the stream where it belongs, and returns the exit code.
 *
 * @param command its name, for a next step that leads to its help
 */
export function report(
  error: unknown,
  flags: EarlyFlags & {logsJson?: boolean; sharesStreams?: boolean},
  words: readonly string[],
  command?: string,
): number {
  // oclif's `this.exit(n)` is an end, not a failure.
  if (error instanceof ExitError) return error.oclif.exit ?? 0;
  const event = asEvent(error, words, command);
  if (flags.json && flags.sharesStreams) process.stderr.write(`${JSON.stringify(event)}\n`);
  else if (flags.json && event.code !== 'STDOUT_FAILED') writeLine(JSON.stringify(event));
  // After an interrupt only the exit code tells the reason, because the user knows it.
  else if (event.code !== 'ABORTED')
    process.stderr.write(flags.logsJson ? `${jsonError(event)}\n` : sentences(event));
  if (flags.debug) process.stderr.write(withoutSecrets(`${stacks(error)}\n`, words));
  return event.exitCode;
}

/** Turns anything thrown into an `error` event. */
export function asEvent(error: unknown, words: readonly string[], command?: string): ErrorEvent {
  const known = toKnown(error);
  const clean = (text: string) => oneLine(withoutSecrets(text, words));
  return {
    type: 'error',
    code: known.code,
    // A program's last lines keep their line breaks; text of a peer stays on one line.
    message: known.code.startsWith('PROGRAM_')
      ? known.message.split('\n').map(clean).join('\n  ')
      : clean(known.message),
    next: clean(
      nextStep(known).replace('COMMAND --help', command === undefined ? '--help' : `${command} --help`),
    ),
    exitCode: ERRORS[known.code].exitCode,
  };
}

function toKnown(error: unknown): TunlError {
  if (error instanceof ModuleLoadError) {
    return new TunlError('UNEXPECTED', {
      reason: 'A part of tunl is missing.',
      next: 'Install tunl again; in a checkout run `npm run build`.',
      cause: error,
    });
  }
  // oclif's errors repeat the words of the command line, so their text is not used.
  if (error instanceof CLIError) return new TunlError('USAGE', {cause: error});
  return toTunlError(error);
}

function jsonError({code, message, next, exitCode}: ErrorEvent): string {
  return jsonLogLine({level: 'error', scope: 'cli', event: 'error', message, fields: {code, next, exitCode}});
}

function sentences(event: ErrorEvent): string {
  const next = event.next === 'Nothing.' ? '' : `next: ${event.next}\n`;
  return `error: ${event.message}\n${next}code: ${event.code}\n`;
}

function stacks(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? String(error);
  return error.cause === undefined ? own : `${own}\ncaused by ${stacks(error.cause)}`;
}
