// A configuration file, read with a table of settings: the values, and every mistake with its place.

import {dirname, resolve} from 'node:path';
import {expandHome} from '../../core/home.js';
import {isList, type Kind, type Setting, type Table} from '../../core/settings.js';
import {readConfigText} from './config-text.js';
import {keyOf, nearestKey} from './keys.js';
import {type Mistake, mistakeOf, type Place} from './mistake.js';
import {type Entry, readEntries, type Text} from './yaml-entries.js';

export interface FileValue {
  value: unknown;
  at: Place;
}

export interface SettingsFile {
  path: string;
  /** By the names of settings in the library. */
  values: ReadonlyMap<string, FileValue>;
  mistakes: readonly Mistake[];
}

/** @throws TunlError FILE_UNREADABLE; CONFIG_SYNTAX when it is no text file */
export async function readSettingsFile(path: string, table: Table): Promise<SettingsFile> {
  return await readSettingsText(await readConfigText(path), path, table);
}

/** @param path of the file: paths in it are relative to its folder. */
export async function readSettingsText(text: string, path: string, table: Table): Promise<SettingsFile> {
  const {entries, mistakes} = await readEntries(text);
  const reader = new SettingsReader(path, table, mistakes);
  for (const entry of entries) reader.read(entry);
  const {values} = reader;
  return {path, values, mistakes: reader.mistakes.sort(byPlace)};
}

/** The settings of one group of a file, such as a template. @param page what to read about its keys */
export function readSettingsEntries(
  entries: readonly Entry[],
  path: string,
  table: Table,
  page?: string,
): SettingsFile {
  const reader = new SettingsReader(path, table, [], page);
  for (const entry of entries) reader.read(entry);
  return {path, values: reader.values, mistakes: reader.mistakes.sort(byPlace)};
}

const RELAY_PAGE = 'See docs/relay-config.md, or `tunl relay config --example`.';

class SettingsReader {
  readonly values = new Map<string, FileValue>();
  readonly mistakes: Mistake[];
  readonly #path: string;
  readonly #table: Table;
  readonly #rows: ReadonlyMap<string, readonly [name: string, row: Setting<unknown>]>;
  readonly #seen = new Map<string, Place>();
  readonly #page: string;

  constructor(path: string, table: Table, mistakes: readonly Mistake[], page = RELAY_PAGE) {
    this.#path = path;
    this.#page = page;
    this.#table = table;
    this.mistakes = [...mistakes];
    const keyed = Object.entries(table).flatMap(([name, row]) => {
      const key = keyOf(row);
      return key === undefined ? [] : [[key, [name, row] as const] as const];
    });
    this.#rows = new Map(keyed);
  }

  read({key, at, value}: Entry): void {
    const before = this.#seen.get(key);
    this.#seen.set(key, before ?? at);
    const found = this.#rows.get(key);
    if (before !== undefined) {
      this.mistakes.push({
        at,
        code: 'CONFIG_KEY',
        message: `${label(key)} is set twice; the first time in line ${before.line}.`,
        next: 'Remove one of the lines. Several values of one setting are a list: [one, other].',
      });
    } else if (found === undefined) this.mistakes.push(this.#unknown(key, at));
    else this.#take(found, {key, at, value});
  }

  #unknown(key: string, at: Place): Mistake {
    const secret = this.#secretOf(key);
    if (secret !== undefined) {
      return {
        at,
        code: 'CONFIG_SECRET',
        message: `${label(key)} is a secret, which does not belong in this file.`,
        next: `Write it to a file of its own, and name that file with ${secret}.`,
      };
    }
    const meant = nearestKey(key, this.#rows.keys());
    return {
      at,
      code: 'CONFIG_KEY',
      message: `There is no setting ${label(key)}.${meant === undefined ? '' : ` Did you mean ${meant}?`}`,
      next: this.#page,
    };
  }

  /** The setting that names a file with this secret. */
  #secretOf(key: string): string | undefined {
    const row = Object.hasOwn(this.#table, key) ? this.#table[key] : undefined;
    const named = row?.secretIn === undefined ? undefined : this.#table[row.secretIn];
    return named === undefined ? undefined : keyOf(named);
  }

  #take([name, {kind}]: readonly [string, Setting<unknown>], {key, at: place, value}: Entry): void {
    const before = this.mistakes.length;
    const single = (item: Kind<unknown>) => (text: Text) => this.#parse(item, key, text);
    if (isList(kind)) {
      const texts: readonly Text[] = isText(value) ? [value] : value;
      const items = texts.map(single(kind.item));
      const at = texts[0]?.at ?? place;
      if (this.mistakes.length === before) this.#keep(name, at, () => kind.check(items, key));
      return;
    }
    if (isText(value)) {
      const parsed = single(kind)(value);
      if (this.mistakes.length === before) this.values.set(name, {value: parsed, at: value.at});
      return;
    }
    this.mistakes.push({
      at: place,
      code: 'CONFIG_VALUE',
      message: `${key} is a list, but it has one value.`,
      next: `Write it as \`${key}: ${kind.placeholder || 'true'}\`.`,
    });
  }

  #keep(name: string, at: Place, check: () => unknown): void {
    try {
      this.values.set(name, {value: check(), at});
    } catch (error) {
      this.mistakes.push(mistakeOf(error, {at}));
    }
  }

  #parse(kind: Kind<unknown>, key: string, {text, at}: Text): unknown {
    try {
      const written = kind.isPath === true ? resolve(dirname(this.#path), expandHome(text)) : text;
      return kind.parse(written);
    } catch (error) {
      this.mistakes.push(mistakeOf(error, {at, label: key}));
      return undefined;
    }
  }
}

function isText(value: Entry['value']): value is Text {
  return 'text' in value;
}

function label(key: string): string {
  return JSON.stringify(key.length > 60 ? `${key.slice(0, 60)}…` : key);
}

function byPlace(one: Mistake, other: Mistake): number {
  const [a, b] = [one.at, other.at];
  return (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0);
}
