// Decides between the sources of settings: flag, then environment, then file, then default. Each value knows its source.

import {isList, type OptionsOf, readNamed, type Setting, type Table} from '../../core/settings.js';
import {keyOf, nearestKey, variableOf} from './keys.js';
import {type Mistake, mistakeOf, type Place} from './mistake.js';
import type {SettingsFile} from './settings-file.js';

export type Source =
  | {from: 'flag'; flag: string}
  | {from: 'environment'; variable: string}
  | {from: 'file'; path: string; at: Place}
  | {from: 'default'};

export interface Resolved {
  /** In the library. */
  name: string;
  row: Setting<unknown>;
  /** Undefined: it has none. */
  value: unknown;
  source: Source;
}

export interface ResolveOptions<T extends Table> {
  table: T;
  /** The values of flags, by the names of settings. */
  flags: OptionsOf<T>;
  env: NodeJS.ProcessEnv;
  /** `TUNL_RELAY_`: a variable is this and the name of the flag. */
  prefix: string;
  file: SettingsFile | undefined;
}

export interface Resolution<T extends Table> {
  /** The values of all sources but the defaults, by the names of settings. */
  options: OptionsOf<T>;
  /** The rows that a file can set, and the secrets, in the order of the table. */
  all: readonly Resolved[];
  /** The mistakes in the environment. */
  mistakes: readonly Mistake[];
}

export function resolveSettings<T extends Table>(options: ResolveOptions<T>): Resolution<T> {
  const mistakes: Mistake[] = [];
  const all = Object.entries(options.table).flatMap(([name, row]): Resolved[] => {
    if (keyOf(row) === undefined && row.secretIn === undefined) return [];
    try {
      return [fromSources(name, row, options)];
    } catch (error) {
      mistakes.push(mistakeOf(error));
      return [fromDefault(name, row)];
    }
  });
  // A file of the configuration file must not come before a secret of the environment.
  const secrets = all.filter(({row, source}) => row.secretIn !== undefined && source.from !== 'default');
  const settled = all.map((each) =>
    each.source.from === 'file' && secrets.some(({row}) => row.secretIn === each.name)
      ? fromDefault(each.name, each.row)
      : each,
  );
  const given = settled.filter(({source}) => source.from !== 'default');
  const values = Object.fromEntries(given.map(({name, value}) => [name, value]));
  return {options: values as OptionsOf<T>, all: settled, mistakes};
}

/** @throws TunlError for a variable that cannot be read */
function fromSources<T extends Table>(
  name: string,
  row: Setting<unknown>,
  options: ResolveOptions<T>,
): Resolved {
  const {flags, file} = options;
  const value = (flags as Readonly<Record<string, unknown>>)[name];
  if (value !== undefined) return {name, row, value, source: {from: 'flag', flag: `--${row.flag}`}};
  const variable = variableWith(row, options);
  if (variable !== undefined) {
    const read = readNamed(variable, () => readText(row, options.env[variable] ?? '', name));
    return {name, row, value: read, source: {from: 'environment', variable}};
  }
  const written = file?.values.get(name);
  if (file === undefined || written === undefined) return fromDefault(name, row);
  return {name, row, value: written.value, source: {from: 'file', path: file.path, at: written.at}};
}

function fromDefault(name: string, row: Setting<unknown>): Resolved {
  const {default: otherwise} = row;
  const value = typeof otherwise === 'function' ? otherwise() : otherwise;
  return {name, row, value, source: {from: 'default'}};
}

/** The variable that sets a row. An empty one sets nothing. */
function variableWith<T extends Table>(
  row: Setting<unknown>,
  {table, flags, env, prefix}: ResolveOptions<T>,
): string | undefined {
  const variableFor = (each: Setting<unknown> | undefined) => {
    const key = each === undefined ? undefined : keyOf(each);
    const variable = key === undefined ? undefined : variableOf(prefix, key);
    return variable !== undefined && env[variable] ? variable : undefined;
  };
  const own = variableFor(row);
  if (own !== undefined || row.env === undefined || !env[row.env]) return own;
  const other = row.envUnless;
  const isReplaced = other !== undefined && (other in flags || variableFor(table[other]) !== undefined);
  return isReplaced ? undefined : row.env;
}

/** @throws TunlError */
function readText({kind}: Setting<unknown>, text: string, name: string): unknown {
  if (!isList(kind)) return kind.parse(text);
  // Several values have commas or spaces between them, or line breaks.
  const parts = text.split(kind.inLines ? /\r?\n/ : /[\s,]+/);
  const items = parts.map((part) => part.trim()).filter(Boolean);
  return kind.check(
    items.map((item) => kind.item.parse(item)),
    name,
  );
}

/** Variables of a Kubernetes Service that is called `tunl-relay`. */
const OF_KUBERNETES = /^TUNL_RELAY_(SERVICE_|PORT$|PORT_)/;

/** Variables that begin like settings and are none: a sentence about each. */
export function unknownVariables(table: Table, env: NodeJS.ProcessEnv, prefix: string): string[] {
  const keys = Object.values(table).flatMap((row) => keyOf(row) ?? []);
  const variables = Object.values(table).flatMap(({env: variable}) => variable ?? []);
  const known = new Set([...variables, ...keys.map((key) => variableOf(prefix, key))]);
  return Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !known.has(name) && !OF_KUBERNETES.test(name))
    .map((name) => {
      const meant = nearestKey(name.slice(prefix.length), keys);
      const hint = meant === undefined ? '' : ` Did you mean ${variableOf(prefix, meant)}?`;
      return `The variable ${name.slice(0, 80)} is no setting.${hint}`;
    });
}
