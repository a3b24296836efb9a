// Compares the hand-written options of the library with the settings table of their command.

import {readFileSync} from 'node:fs';
import {isSwitch, type Table} from '../../src/lib/core/settings.js';
import {ROOT} from '../project/source-files.js';

/** `true` only if both types are the same. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Differences between the defaults in the comments of an options interface and those in the table. */
export function wrongDefaults(path: string, name: string, table: Table): string[] {
  const commentOf = commentsOf(path, name);
  return Object.entries(table).flatMap(([option, {kind, default: otherwise, env}]) => {
    const comment = commentOf(option);
    const shown =
      typeof otherwise === 'number'
        ? otherwise.toLocaleString('en-US')
        : typeof otherwise === 'string' || (isSwitch(kind) && typeof otherwise === 'boolean')
          ? String(otherwise)
          : undefined;
    return [shown, env]
      .filter((word) => word !== undefined)
      .filter((word) => !new RegExp(`Default[^.]*\`?${word.replaceAll('.', '\\.')}\\b`).test(comment))
      .map((word) => `${option}: Default ${word}`);
  });
}

/** The comment of each option of an options interface; none is an empty text. */
export function commentsOf(path: string, name: string): (option: string) => string {
  const text = readFileSync(`${ROOT}/${path}`, 'utf8');
  const [source = ''] = text.slice(text.indexOf(`export interface ${name} `)).split('\n}\n');
  return (option) =>
    new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s+${option}\\?: `).exec(source)?.[1] ?? '';
}
