// Rewords oclif's parse errors: the fault, and a suggestion. Values are never repeated, because they may be secrets.

import {CLIError} from '@oclif/core/errors';
import {TunlError} from '../core/errors.js';
import {nearest} from './nearest.js';
import {commandAdvice, flagAdvice, flagsElsewhere} from './other-tools.js';

/** The declarations of a command that matter for its errors. */
export interface Declared {
  /** `expose` */
  name: string;
  flags: readonly string[];
  /** The flags without a value. */
  switches: readonly string[];
  /** Names of positional arguments, in upper case. */
  args: readonly string[];
  /** Words after `--` belong to another program. */
  passesWords: boolean;
}

/**
 * Turns an error of parsing into a TunlError; undefined when it is another error. oclif does not export its classes of parse
 * errors, so their fields identify them.
 */
export function usageError(error: unknown, declared: Declared): TunlError | undefined {
  // An error of tunl itself stays as it is.
  if (error instanceof TunlError) return undefined;
  // oclif rewrites the message of an error that a flag's `parse` throws, so the original error is the cause.
  if (error instanceof Error && error.cause instanceof TunlError) return error.cause;
  if (!(error instanceof CLIError)) return undefined;
  const help = `See \`tunl ${declared.name} --help\`.`;
  const {flags, args} = error as {flags?: unknown; args?: unknown};
  if (Array.isArray(flags)) return unknownFlag(String(flags[0]), declared, help);
  if (Array.isArray(args) && args.length > 0) {
    return typeof args[0] === 'object' ? missing(declared, help) : tooMany(args.length, declared, help);
  }
  const [sentence = ''] = error.message.split('\n');
  const reason = choiceOf(sentence, declared) ?? otherReason(sentence);
  return new TunlError('USAGE', {reason, next: help, cause: error});
}

/** The allowed values are declared, so they are no secret. The value itself comes before the last `to be one of`. */
function choiceOf(sentence: string, {args}: Declared): string | undefined {
  const [, flag, values] = /^Expected (?:(--[a-z][a-z-]*)=)?.* to be one of: (.+)$/.exec(sentence) ?? [];
  if (values === undefined) return undefined;
  return `${flag ?? (args.length === 1 ? args[0] : 'The word')} is one of: ${values}.`;
}

function otherReason(sentence: string): string {
  return /^Flag (--[a-z-]+) expects/.test(sentence)
    ? `${sentence.split(' ')[1]} needs a value.`
    : /^Flag (--[a-z-]+) can only be specified once/.test(sentence)
      ? `${sentence.split(' ')[1]} is given twice.`
      : 'The command line is not valid.';
}

/** `--tcp=yes`: oclif would treat `yes` as an argument and report that. */
export function valueForSwitch(words: readonly string[], declared: Declared): TunlError | undefined {
  const end = words.indexOf('--');
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const [, name = ''] = /^--(?:no-)?([a-z][a-z0-9-]*)=/.exec(word) ?? [];
    if (declared.switches.includes(name))
      return new TunlError('USAGE', {
        reason: `--${name} takes no value.`,
        next: `Write it alone, or leave it out. See \`tunl ${declared.name} --help\`.`,
      });
  }
  return undefined;
}

/**
 * The error for an unknown command. It never repeats the typed word, only known names. `rest` are the words that oclif has not
 * read as a part of the command.
 */
export function unknownCommand(
  id: string,
  known: readonly string[],
  rest: readonly string[] = [],
): TunlError {
  const typed = id.split(':');
  const isFlag = typed[0]?.startsWith('-') === true;
  const advice = commandAdvice([...typed, ...rest]);
  const guess = isFlag ? undefined : nearestCommand(typed, known);
  const all =
    typed[0] === 'relay' && guess === undefined
      ? 'Its commands: `tunl relay --help`.'
      : 'All commands: `tunl --help`.';
  return new TunlError('USAGE', {
    reason: isFlag ? 'The command comes first, then its flags.' : 'There is no such command.',
    next: `${advice ?? (guess ? `Did you mean \`tunl ${guess}\`?` : '')} ${all}`.trimStart(),
  });
}

/** Longest first: `relay strt 1` means `relay start`, `expsoe 8000` means `expose`. Every word must be similar. */
function nearestCommand(typed: readonly string[], known: readonly string[]): string | undefined {
  for (let length = typed.length; length > 0; length -= 1) {
    const sameLength = known.map((name) => name.split(' ')).filter((name) => name.length === length);
    const similar = sameLength.filter((name) =>
      name.every((word, at) => nearest(typed[at] ?? '', [word]) !== undefined),
    );
    const guess = nearest(
      typed.slice(0, length).join(' '),
      similar.map((name) => name.join(' ')),
    );
    if (guess !== undefined && (length > 1 || typed[0] !== guess)) return guess;
  }
  return undefined;
}

function unknownFlag(typed: string, declared: Declared, help: string): TunlError {
  // `--token=…` and `-xVALUE` carry a value that must not be repeated.
  const flag = typed.startsWith('--') ? (typed.split('=')[0] ?? typed) : typed.slice(0, 2);
  const known = declared.flags.map((name) => `--${name}`);
  const isElsewhere = flagsElsewhere.has(flag);
  const guess =
    flag.startsWith('--') && !isElsewhere ? nearest(flag, [...known, ...flagsElsewhere]) : undefined;
  const advice = flagAdvice(guess ?? flag, declared);
  return new TunlError('USAGE', {
    reason: `\`tunl ${declared.name}\` has no flag ${/^--?[A-Za-z][\w-]{0,30}$/.test(flag) ? flag : 'like that'}.`,
    next: advice ?? (guess && known.includes(guess) ? `Did you mean ${guess}? ${help}` : help),
  });
}

function missing(declared: Declared, help: string): TunlError {
  return new TunlError('USAGE', {
    reason: `\`tunl ${declared.name}\` needs ${declared.args.join(' and ')}.`,
    next: help,
  });
}

function tooMany(count: number, declared: Declared, help: string): TunlError {
  const isNone = declared.args.length === 0;
  const takes = isNone ? 'no argument' : `only ${declared.args.join(' and ')}`;
  const given = `${count}${isNone ? '' : ' more'} ${count === 1 ? 'is' : 'are'} given`;
  // `tunl expose npm run dev`, `tunl terminal htop`
  const hint = declared.passesWords
    ? `Words for a program stand after \`--\`: \`tunl ${declared.name} -- …\`. `
    : '';
  return new TunlError('USAGE', {
    reason: `\`tunl ${declared.name}\` takes ${takes}; ${given}.`,
    next: `${hint}${help}`,
  });
}
