// Rewords oclif's parse errors: the fault, and a suggestion. Values are never repeated, because they may be secrets.

import {CLIError} from '@oclif/core/errors';
import {TunlError} from '../core/errors.js';
import {nearest} from './nearest.js';

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

/** Flags of other tools, and their names in tunl. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['--token', 'Secrets have no place on a command line: set TUNL_TOKEN or pass --token-file.'],
  ['--auth-token', 'Secrets have no place on a command line: set TUNL_TOKEN or pass --token-file.'],
  ['--port', 'The local port stands alone: `tunl expose 8000`. The port at the relay is --remote-port.'],
  ['-p', 'The local port stands alone: `tunl expose 8000`. The port at the relay is --remote-port.'],
  ['--host', 'The upstream’s host is --local-host; a name of one’s own is --subdomain.'],
  ['--hostname', 'A name of one’s own is --subdomain.'],
  ['--name', 'A name of one’s own is --subdomain.'],
  ['--server', 'The relay is --relay.'],
  ['-i', 'Who may log in is told by --key, with the public half of a key.'],
  ['-v', 'Diagnostics: --log-level debug. The version: `tunl --version`.'],
  ['--version', 'The version: `tunl --version`.'],
  ['--verbose', 'Diagnostics: --log-level debug.'],
]);

/** Only suggests flags that this command has. */
function hintFor(flag: string, {name, flags}: Declared): string | undefined {
  const hint = ELSEWHERE.get(flag);
  const advised = hint?.replaceAll(/`[^`]*`/g, '').match(/--[a-z][a-z-]*/g) ?? [];
  const isMeant = advised.every((word) => flags.includes(word.slice(2)));
  return isMeant && (name === 'expose' || !hint?.includes('`tunl expose')) ? hint : undefined;
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
  const reason = /^Flag (--[a-z-]+) expects/.test(sentence)
    ? `${sentence.split(' ')[1]} needs a value.`
    : /^Flag (--[a-z-]+) can only be specified once/.test(sentence)
      ? `${sentence.split(' ')[1]} is given twice.`
      : 'The command line is not valid.';
  return new TunlError('USAGE', {reason, next: help, cause: error});
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

/** The error for an unknown command. It never repeats the typed word, only known names. */
export function unknownCommand(id: string, known: readonly string[]): TunlError {
  const typed = id.replaceAll(':', ' ');
  const guess = typed.startsWith('-') ? undefined : nearestCommand(typed.split(' '), known);
  return new TunlError('USAGE', {
    reason: typed.startsWith('-') ? 'The command comes first, then its flags.' : 'There is no such command.',
    next: guess
      ? `Did you mean \`tunl ${guess}\`? All commands: \`tunl --help\`.`
      : 'All commands: `tunl --help`.',
  });
}

/** Longest first: `relay strt 1` means `relay start`, `expsoe 8000` means `expose`. */
function nearestCommand(typed: readonly string[], known: readonly string[]): string | undefined {
  for (let length = typed.length; length > 0; length -= 1) {
    const sameLength = known.filter((name) => name.split(' ').length === length);
    const guess = nearest(typed.slice(0, length).join(' '), sameLength);
    if (guess) return guess;
  }
  return undefined;
}

function unknownFlag(typed: string, declared: Declared, help: string): TunlError {
  // `--token=…` and `-xVALUE` carry a value that must not be repeated.
  const flag = typed.startsWith('--') ? (typed.split('=')[0] ?? typed) : typed.slice(0, 2);
  const known = declared.flags.map((name) => `--${name}`);
  const isLong = flag.startsWith('--') && !ELSEWHERE.has(flag);
  const guess = isLong ? nearest(flag, [...known, ...ELSEWHERE.keys()]) : undefined;
  const hint = hintFor(guess ?? flag, declared);
  return new TunlError('USAGE', {
    reason: `\`tunl ${declared.name}\` has no flag ${/^--?[A-Za-z][\w-]{0,30}$/.test(flag) ? flag : 'like that'}.`,
    next: hint ?? (guess && !ELSEWHERE.has(guess) ? `Did you mean ${guess}? ${help}` : help),
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
