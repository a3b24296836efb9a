// Names that only an owner may have whose scopes say the name itself: those that visitors take for the operator's, those that
// the operator adds, and those that look like one of them.

import {isDeepStrictEqual} from 'node:util';
import {TunlError} from '../../core/errors.js';
import {matchesGlob} from '../../core/glob.js';
import {RESERVED} from '../../protocol/names.js';
import type {Rights} from '../access/rights.js';

/** Labels of the relay's own name that are shorter stand for nothing by themselves. */
const SHORTEST_OWN = 4;
const LONGEST = 63;

export interface ReservedNamesOptions {
  domain: string;
  /** Names of the operator; `*` stands for any characters. */
  reservedNames: readonly string[];
}

/** A name of the operator. */
interface Pattern {
  readonly text: string;
  readonly looks: string;
}

export class ReservedNames {
  /** By what they look like. */
  readonly #words = new Map<string, string>();
  #patterns: readonly Pattern[] = [];
  #edition = 0;

  constructor({domain, reservedNames}: ReservedNamesOptions) {
    for (const name of [...RESERVED, ...ownNames(domain)]) this.#words.set(looksOf(name), name);
    this.reload({reservedNames});
  }

  /** Differs after each change: what was checked before has to be checked again. */
  get edition(): number {
    return this.#edition;
  }

  reload({reservedNames}: Pick<ReservedNamesOptions, 'reservedNames'>): void {
    const before = this.#patterns.map(({text}) => text);
    if (isDeepStrictEqual(reservedNames, before)) return;
    this.#patterns = reservedNames.map((text) => ({text, looks: looksOf(text)}));
    this.#edition += 1;
  }

  /** @throws TunlError NAME_RESERVED when the name needs a scope of its own, and the owner has none. */
  check(name: string, rights: Pick<Rights, 'scopes'>): void {
    const meant = this.#refusedFor(name, rights);
    if (meant === undefined) return;
    const reason =
      meant === name
        ? `The name ${name} is reserved.`
        : `The name ${name} looks like ${meant}, which is reserved.`;
    throw new TunlError('NAME_RESERVED', {reason});
  }

  /** Whether an owner with these rights may have the name. */
  allows(name: string, rights: Pick<Rights, 'scopes'>): boolean {
    return this.#refusedFor(name, rights) === undefined;
  }

  #refusedFor(name: string, {scopes}: Pick<Rights, 'scopes'>): string | undefined {
    return scopes.includes(`name:${name}`) ? undefined : this.#meant(name);
  }

  /** The reserved name that a visitor would take this one for. */
  #meant(name: string): string | undefined {
    const looks = looksOf(name);
    const pattern = this.#patterns.find(
      (each) => matchesGlob(each.text, name) || matchesGlob(each.looks, looks),
    )?.text;
    if (pattern !== undefined) return pattern.includes('*') ? name : pattern;
    // Two reserved names can look alike.
    return RESERVED.has(name) ? name : this.#words.get(looks);
  }
}

/** A value of the setting, in lower case. @throws TunlError OPTION_INVALID */
export function reservedName(written: string): string {
  const name = written.toLowerCase();
  if (/^[a-z0-9*-]+$/.test(name) && /[a-z0-9]/.test(name) && name.length <= LONGEST) return name;
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(written.slice(0, 80))} cannot be a reserved name.`,
    next: 'Write one label like bank, or *bank* for all names with it.',
  });
}

/**
 * A name as a reader sees it: letters that look alike are one, and hyphens are nothing. Two names that look alike have the same text. A
 * number at the end is one, as in `node5`, but a last 0 or 1 can also be a letter. Of two characters nobody makes a word.
 */
export function looksOf(name: string): string {
  if (name.length < 3) return name;
  return name
    .replaceAll('-', '')
    .replaceAll('rn', 'm')
    .replaceAll('vv', 'w')
    .replaceAll('cl', 'd')
    .replace(/[3458](?!$)|[01i]/g, (sign) => LOOKS[sign] ?? sign);
}

const LOOKS: Readonly<Record<string, string>> = {0: 'o', 1: 'l', 3: 'e', 4: 'a', 5: 's', 8: 'b', i: 'l'};

/** A tunnel `example` below `relay.example.net`, or `relay-example-net`, would be taken for the relay itself. */
function ownNames(domain: string): string[] {
  const labels = domain.split('.');
  const some = labels.slice(0, -1).filter((label) => label.length >= SHORTEST_OWN);
  return [...some, labels.join('-')];
}
