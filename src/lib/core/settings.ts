// The definition of a setting. Each setting is declared once, in the table of its command: name in the library, kind of
// value, default, flag, environment variable, help. Flags, checks and defaults follow from the table.

import {duration, durationText} from './duration.js';
import {TunlError} from './errors.js';
import {expandHome} from './home.js';

/** The kind of values that a setting can have. */
export interface Kind<T> {
  /** The name of the value in help: `TIME`. */
  readonly placeholder: string;
  /** Reads a value from text: a flag, a variable, a line of a file. @throws TunlError */
  parse(text: string): T;
  /** Checks a value from a program. @throws TunlError */
  check(value: T, name: string): T;
  /** Writes a value so that `parse` can read it. */
  show(value: T): string;
  /** The value is the path of a file. In a configuration file it is relative to the folder of that file. */
  readonly isPath?: true;
}

/** On or off: the flag has no value. */
export interface Switch extends Kind<boolean> {
  readonly isSwitch: true;
}

/** Several values: the flag is repeatable. */
export interface List<T> extends Kind<readonly T[]> {
  readonly item: Kind<T>;
  /** Values may contain spaces and commas, so in a variable each has its own line. */
  readonly inLines: boolean;
}

export interface Details<T> {
  /** A function when it depends on this machine. */
  readonly default?: T | (() => T);
  /** The default in words, if the value alone is not clear. */
  readonly defaultText?: string;
  /** `resume-window`: the name on the command line and in a configuration file. */
  readonly flag?: string;
  /** The name in a configuration file, if it is not that of the flag. With neither of them only a program can set it. */
  readonly key?: string;
  /** A value that shows the form, in text. */
  readonly example?: string;
  /** It is a secret, and the setting with this name is the path of a file with it. */
  readonly secretIn?: string;
  /** The environment variable that is read when no value is given. */
  readonly env?: string;
  /** The variable is not read when this other setting is given. */
  readonly envUnless?: string;
  /** One sentence. */
  readonly help?: string;
  /** The sentence of a flag that turns the setting off: `--no-probe`. Its key in a file is in `key`. */
  readonly off?: string;
  /** Its heading in help. */
  readonly group?: string;
  /** Whether the value can change while the command runs. A function when that depends on the values. */
  readonly reloads?: boolean | ((now: unknown, next: unknown) => boolean);
}

export type Setting<T> = Details<T> & {readonly kind: Kind<T>};

/** By the name of the setting in the library. */
export type Table = Readonly<Record<string, Setting<unknown>>>;

type ValueOf<S> = S extends {readonly kind: Kind<infer T>} ? T : never;

/** The values that a caller may give. */
export type OptionsOf<T extends Table> = {-readonly [K in keyof T]?: ValueOf<T[K]>};

/** The values in use: undefined only without a default. */
export type SettingsOf<T extends Table> = {
  [K in keyof T]: T[K] extends {readonly default: unknown} ? ValueOf<T[K]> : ValueOf<T[K]> | undefined;
};

export function setting<K extends Kind<unknown>, const D extends Details<ValueOf<{kind: K}>>>(
  kind: K,
  details: D,
): D & {readonly kind: K} {
  return {...details, kind};
}

/**
 * Adds values from the environment and defaults to the given ones.
 *
 * @throws TunlError for an invalid value
 */
export function settle<T extends Table>(
  table: T,
  options: OptionsOf<T>,
  env: NodeJS.ProcessEnv = process.env,
): SettingsOf<T> {
  const given: Readonly<Record<string, unknown>> = options;
  const missing = (name: string) => given[name] === undefined || given[name] === null;
  const fromEnv: Readonly<Record<string, unknown>> = readTexts(table, (each, name) => {
    const isAsked = missing(name) && (each.envUnless === undefined || missing(each.envUnless));
    return isAsked && each.env !== undefined ? env[each.env] || undefined : undefined;
  });
  const settled = Object.entries(table).map(([name, {kind, default: otherwise}]) => {
    const value = missing(name) ? fromEnv[name] : kind.check(given[name], name);
    return [name, value ?? (typeof otherwise === 'function' ? otherwise() : otherwise)];
  });
  return Object.fromEntries(settled) as SettingsOf<T>;
}

/**
 * Reads the settings of a table from texts, such as the environment or a file with one value for each flag.
 *
 * @param textOf returns undefined when the source has no value.
 * @throws TunlError that names the setting as the source does
 */
export function readTexts<T extends Table>(
  table: T,
  textOf: (setting: Setting<unknown>, name: string) => string | readonly string[] | undefined,
  labelOf: (setting: Setting<unknown>, name: string) => string = ({env}, name) => env ?? name,
): OptionsOf<T> {
  const read = Object.entries(table).flatMap(([name, each]) => {
    const text = textOf(each, name);
    if (text === undefined) return [];
    return [[name, readNamed(labelOf(each, name), () => parseAll(each.kind, text))]];
  });
  return Object.fromEntries(read) as OptionsOf<T>;
}

function parseAll(kind: Kind<unknown>, text: string | readonly string[]): unknown {
  if (!isList(kind)) return kind.parse(String(text));
  return (typeof text === 'string' ? [text] : text).map((each) => kind.item.parse(each));
}

/** Adds the name of the setting to an error. */
export function readNamed<T>(label: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TunlError)) throw error;
    throw new TunlError(error.code, {reason: `${label}: ${error.message}`, next: error.next, cause: error});
  }
}

export function isSwitch(kind: Kind<unknown> | Switch): kind is Switch {
  return 'isSwitch' in kind;
}

export function isList(kind: Kind<unknown> | List<unknown>): kind is List<unknown> {
  return 'item' in kind;
}

/** The help of a setting, with its default. */
export function helpOf({help = '', defaultText, default: otherwise, kind}: Setting<unknown>): string {
  const hasValue = otherwise !== undefined && typeof otherwise !== 'function' && !isSwitch(kind);
  const shown = defaultText ?? (hasValue ? kind.show(otherwise) : undefined);
  return !shown ? help : `${help} (${shown})`;
}

// ── Kinds ──

const invalid = (reason: string, next?: string) =>
  new TunlError('OPTION_INVALID', next === undefined ? {reason} : {reason, next});

export const onOff: Switch = {
  isSwitch: true,
  placeholder: '',
  parse: (text) => {
    if (/^(true|yes|on|1)$/i.test(text)) return true;
    if (/^(false|no|off|0)$/i.test(text)) return false;
    throw invalid(`${JSON.stringify(text.slice(0, 40))} is neither true nor false.`);
  },
  check: (value) => Boolean(value),
  show: String,
};

/** @param read returns the value in its standard spelling, or throws. */
export function text(placeholder: string, read: (text: string) => string = (same) => same): Kind<string> {
  return {
    placeholder,
    parse: read,
    check: (value, name) => {
      if (typeof value !== 'string') throw invalid(`${name} is a text, not ${typeof value}.`);
      return read(value);
    },
    show: (value) => value,
  };
}

/** @param what is named when the value does not exist: `log level`. */
export function choice<const T extends string>(
  placeholder: string,
  what: string,
  values: readonly T[],
): Kind<T> {
  const find = (written: unknown) => {
    const known = values.find((each) => each === written);
    if (known !== undefined) return known;
    throw invalid(`There is no such ${what}.`, `Give one of ${values.join(', ')}.`);
  };
  return {placeholder, parse: find, check: find, show: (value) => value};
}

/** The path of a file. A program writes its own paths; only people write `~`. */
export const file: Kind<string> = {...text('FILE'), isPath: true, parse: (path) => expandHome(path)};

export function wholeNumber({min, max}: {min: number; max: number}): Kind<number> {
  return {
    placeholder: 'NUMBER',
    parse: (written) => {
      const value = /^\d{1,16}$/.test(written) ? Number(written) : Number.NaN;
      if (value >= min && value <= max) return value;
      throw invalid(
        `${JSON.stringify(written.slice(0, 40))} is not possible.`,
        `Give a whole number from ${min} to ${max}.`,
      );
    },
    check: (value, name) => {
      if (Number.isInteger(value) && value >= min && value <= max) return value;
      throw invalid(`${name} is a whole number from ${min} to ${max}, not ${value}.`);
    },
    show: String,
  };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** Bytes, written `512MiB`; a number alone is a number of bytes. A program gives a whole number. */
export function size({min, max}: {min: number; max: number}): Kind<number> {
  const number = wholeNumber({min, max});
  const show = (bytes: number) => {
    const [unit = '', each = 1] =
      Object.entries(UNITS).findLast(([, unitBytes]) => bytes % unitBytes === 0) ?? [];
    return bytes === 0 ? '0' : `${bytes / each}${unit.replace('IB', 'iB')}`;
  };
  return {
    ...number,
    placeholder: 'SIZE',
    parse: (written) => {
      const [, digits, unit = ''] = /^(\d{1,16})\s?([kmgt]ib)?$/i.exec(written) ?? [];
      const bytes =
        digits === undefined ? Number.NaN : Number(digits) * (UNITS[unit.toUpperCase()] ?? Number.NaN);
      if (bytes >= min && bytes <= max) return bytes;
      throw invalid(
        `${JSON.stringify(written.slice(0, 40))} is not possible.`,
        `Give a size from ${show(min)} to ${show(max)}, like 512MiB.`,
      );
    },
    show,
  };
}

/** Ten years: a longer time is a mistake, and dates still work. */
const LONGEST_MS = 3650 * 86_400_000;

interface DurationLimits {
  /** Default 0. */
  minMs?: number;
  maxMs?: number;
  /** True when 0 is also allowed, to turn it off. */
  orZero?: boolean;
}

/** Milliseconds, written `30s` or `1h30m`. A program may give any number that is not negative, also with a fraction. */
export function time({minMs = 0, maxMs = LONGEST_MS}: DurationLimits = {}): Kind<number> {
  return {
    ...wholeTime({minMs, maxMs}),
    check: (value, name) => {
      if (typeof value === 'number' && value >= 0) return value;
      throw invalid(`${name} is a number of milliseconds, not ${value}.`);
    },
  };
}

/** Milliseconds, written `30s` or `1h30m`; a whole number, with the same limits for programs and people. */
export function wholeTime({minMs = 0, maxMs = LONGEST_MS, orZero = false}: DurationLimits): Kind<number> {
  const isOff = (ms: number) => orZero && ms === 0;
  return {
    placeholder: 'TIME',
    parse: (written) => {
      const ms = duration(written);
      if (isOff(ms) || (ms >= minMs && ms <= maxMs)) return ms;
      const least = minMs === 1 ? 'more than 0s' : `at least ${durationText(minMs)}`;
      throw invalid(
        `${written} is not possible.`,
        `Give ${ms < minMs ? least : `at most ${durationText(maxMs)}`}${orZero ? ', or 0s' : ''}.`,
      );
    },
    check: (value, name) => {
      if (isOff(value) || (Number.isInteger(value) && value >= minMs && value <= maxMs)) return value;
      throw invalid(
        `${name} is a whole number from ${minMs} to ${maxMs}${orZero ? ', or 0' : ''}, not ${value}.`,
      );
    },
    show: durationText,
  };
}

export function list<T>(
  item: Kind<T>,
  {most = Number.POSITIVE_INFINITY, inLines = false}: {most?: number; inLines?: boolean} = {},
): List<T> {
  return {
    item,
    inLines,
    placeholder: item.placeholder,
    parse: (written) => [item.parse(written)],
    check: (values, name) => {
      if (!Array.isArray(values)) throw invalid(`${name} is a list.`);
      if (values.length > most) throw invalid(`${name} has ${most} values at the most.`);
      return values.map((value) => item.check(value, name));
    },
    show: (values) => values.map((value) => item.show(value)).join(', '),
  };
}
