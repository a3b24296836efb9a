// Makes flags from a table of settings, and settings of the library from parsed flags.

import type {Interfaces} from '@oclif/core';
import {boolean, custom} from '@oclif/core/flags';
import {
  helpOf,
  isList,
  isSwitch,
  type Kind,
  type List,
  type OptionsOf,
  readNamed,
  type Setting,
  type Switch,
  type Table,
} from '../core/settings.js';

type FlagOf<K> = K extends Switch
  ? Interfaces.BooleanFlag<boolean>
  : K extends List<infer T>
    ? Interfaces.OptionFlag<T[] | undefined>
    : K extends Kind<infer T>
      ? Interfaces.OptionFlag<T | undefined>
      : never;

type FlagName<S> = S extends {readonly flag: infer F extends string} ? F : never;

/** By their names on the command line. A setting without one has no flag. */
export type FlagsOf<T extends Table> = {[K in keyof T as FlagName<T[K]>]: FlagOf<T[K]['kind']>};

type ParsedOf<F> = F extends Interfaces.Flag<infer T> ? T : never;

/** The values that oclif parses. */
export type ValuesOf<T extends Table> = {[K in keyof FlagsOf<T>]: ParsedOf<FlagsOf<T>[K]>};

/** In the order of the table. */
export function flagsOf<T extends Table>(table: T): FlagsOf<T> {
  const flags = Object.values(table).flatMap((each) =>
    each.flag === undefined ? [] : [[each.flag, flagOf(each)]],
  );
  return Object.fromEntries(flags) as FlagsOf<T>;
}

/** A flag of a table whose help differs in a command. */
export function flagOf<K extends Kind<unknown>>(setting: Setting<unknown> & {readonly kind: K}): FlagOf<K> {
  return makeFlag(setting) as FlagOf<K>;
}

function makeFlag(setting: Setting<unknown>): object {
  const {kind, env, group} = setting;
  const about = {
    summary: setting.off ?? helpOf(setting),
    ...(env !== undefined && {env}),
    ...(group !== undefined && {helpGroup: group}),
  };
  if (isSwitch(kind)) return boolean(about);
  const value = isList(kind) ? kind.item : kind;
  const flag = custom<unknown>({
    helpValue: kind.placeholder,
    parse: async (text, _command, {name}) => readFlag(name, () => value.parse(text)),
  });
  return isList(kind) ? flag({...about, multiple: true, multipleNonGreedy: true}) : flag(about);
}

/** oclif rewrites the message of an error that a flag's `parse` throws; the original error is its cause. */
function readFlag<T>(name: string, parse: () => T): T {
  try {
    return readNamed(`--${name}`, parse);
  } catch (error) {
    throw error instanceof Error ? new Error(error.message, {cause: error}) : error;
  }
}

/** The given settings. A switch that is not given is left out, so that another source can set it; a flag like `--no-probe` turns one off. */
export function optionsOf<T extends Table>(table: T, flags: Partial<ValuesOf<T>>): OptionsOf<T> {
  const values: Readonly<Record<string, unknown>> = flags;
  const given = Object.entries(table).flatMap(([name, {flag, kind, off}]) => {
    const value = flag === undefined ? undefined : values[flag];
    if (value === undefined || (isSwitch(kind) && value === false)) return [];
    return [[name, isSwitch(kind) && off !== undefined ? false : value]];
  });
  return Object.fromEntries(given) as OptionsOf<T>;
}

/** The same flags, which no help and no completion shows. */
export function hidden<F extends object>(flags: F): F {
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [name, {...flag, hidden: true}]),
  ) as F;
}
