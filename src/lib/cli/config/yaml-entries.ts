// Reads a flat YAML mapping: keys with texts or lists of texts. YAML decides about no value: `no`, `1e3` and `0.0.0.0:443` are
// texts, which the kind of each setting reads as it reads a flag.

import type {Document, Node, YAMLError} from 'yaml';
import type {ErrorCode} from '../../core/errors.js';
import type {Mistake, Place} from './mistake.js';

export interface Text {
  text: string;
  at: Place;
}

export interface Entry {
  key: string;
  at: Place;
  value: Text | readonly Text[];
}

/** A group of settings with a name of its own, below a key: `templates: {jupyter: …}`. */
export interface Section {
  key: string;
  name: string;
  at: Place;
  entries: readonly Entry[];
}

export interface Entries {
  entries: readonly Entry[];
  /** In the order of the file. */
  sections: readonly Section[];
  mistakes: readonly Mistake[];
}

const LINE = 'Write each setting as `key: value`.';
const QUOTES = 'A text that begins with one of [ { * & ! | > % @ ` # needs quotes.';

/** In words of our own: the parser's messages repeat parts of the file, which may be secrets. */
const SYNTAX: Readonly<Record<string, readonly [message: string, next: string]>> = {
  TAB_AS_INDENT: ['A tab cannot indent a line.', 'Use spaces.'],
  MULTIPLE_DOCS: ['The file has more than one document.', 'Remove the line that is `---`.'],
  BAD_SCALAR_START: ['A value cannot begin with this character.', QUOTES],
  BLOCK_AS_IMPLICIT_KEY: [
    'A value is followed by lines that are indented more.',
    'Begin each setting at the start of its line.',
  ],
  MULTILINE_IMPLICIT_KEY: ['A line has no colon.', LINE],
  MISSING_CHAR: ['A colon, a comma, or a closing quote or bracket is missing.', 'Add it.'],
  BAD_INDENT: [
    'The indentation is wrong, or a closing bracket is missing.',
    'Begin each setting at the start of its line.',
  ],
  UNEXPECTED_TOKEN: ['Something follows where the value has ended.', QUOTES],
  RESOURCE_EXHAUSTION: ['Values are nested too deeply.', LINE],
};
const OTHERWISE = ['This is not valid YAML.', LINE] as const;

/** @param sectionKeys the keys that have named groups of settings below them */
export async function readEntries(text: string, sectionKeys: readonly string[] = []): Promise<Entries> {
  // Loaded only here: most commands read no file.
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  // Failsafe: every scalar is a text. The parser's own check for equal keys takes a time that grows with their square.
  const document = yaml.parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
  });
  const placeOf = (offset: number): Place => {
    const {line, col} = lines.linePos(offset);
    return {line: Math.max(1, line), column: Math.max(1, col)};
  };
  if (document.errors.length > 0)
    return {entries: [], sections: [], mistakes: firstOfEachLine(document.errors, placeOf)};
  const reader = new EntryReader(yaml, placeOf, sectionKeys);
  reader.read(document);
  return reader;
}

/** One mistake causes several errors. */
function firstOfEachLine(errors: readonly YAMLError[], placeOf: (offset: number) => Place): Mistake[] {
  const byLine = new Map<number, Mistake & {at: Place}>();
  for (const {code, pos} of errors) {
    const at = placeOf(pos[0]);
    const [message, next] = SYNTAX[code] ?? OTHERWISE;
    if (!byLine.has(at.line)) byLine.set(at.line, {at, code: 'CONFIG_SYNTAX', message, next});
  }
  return [...byLine.values()].sort((one, other) => one.at.line - other.at.line);
}

class EntryReader implements Entries {
  entries: Entry[] = [];
  readonly sections: Section[] = [];
  readonly mistakes: Mistake[] = [];
  readonly #yaml: typeof import('yaml');
  readonly #placeOf: (offset: number) => Place;
  readonly #sectionKeys: readonly string[];

  constructor(
    yaml: typeof import('yaml'),
    placeOf: (offset: number) => Place,
    sectionKeys: readonly string[],
  ) {
    this.#yaml = yaml;
    this.#placeOf = placeOf;
    this.#sectionKeys = sectionKeys;
  }

  read({contents}: Pick<Document, 'contents'>): void {
    const start = {line: 1, column: 1};
    // After a line that is `---` nothing is an empty text.
    if (contents === null || (this.#yaml.isScalar(contents) && contents.value === '')) return;
    if (!this.#yaml.isMap<Node | null, Node | null>(contents)) {
      this.#wrong('CONFIG_SYNTAX', this.#at(contents, start), 'The file is not a list of settings.', LINE);
      return;
    }
    for (const {key, value} of contents.items) {
      const at = this.#at(key, start);
      if (this.#yaml.isScalar(key) && this.#sectionKeys.includes(String(key.value)))
        this.#readSections(String(key.value), at, value);
      else if (this.#yaml.isScalar(key)) this.#readEntry(String(key.value), at, value);
      else this.#wrong('CONFIG_SYNTAX', at, 'A key is the name of a setting.', LINE);
    }
  }

  #readSections(key: string, at: Place, node: Node | null): void {
    const groups = this.#mapOf(node, at, `${key} has groups of settings below it, each with a name.`);
    const own = this.entries;
    for (const {key: name, value} of groups) {
      const place = this.#at(name, at);
      if (!this.#yaml.isScalar(name)) {
        this.#wrong('CONFIG_SYNTAX', place, 'A key is the name of a group.', LINE);
        continue;
      }
      const label = String(name.value).slice(0, 60);
      if (this.sections.some((each) => each.key === key && each.name === label))
        this.#wrong('CONFIG_KEY', place, `${JSON.stringify(label)} is there twice.`, 'Remove one of them.');
      this.entries = [];
      for (const item of this.#mapOf(value, place, `${label} has settings below it.`)) {
        const itemAt = this.#at(item.key, place);
        if (this.#yaml.isScalar(item.key)) this.#readEntry(String(item.key.value), itemAt, item.value);
        else this.#wrong('CONFIG_SYNTAX', itemAt, 'A key is the name of a setting.', LINE);
      }
      this.sections.push({key, name: label, at: place, entries: this.entries});
    }
    this.entries = own;
  }

  #mapOf(node: Node | null, at: Place, message: string): readonly {key: Node | null; value: Node | null}[] {
    if (this.#yaml.isMap<Node | null, Node | null>(node)) return node.items;
    this.#wrong('CONFIG_VALUE', this.#at(node, at), message, 'Indent them below it.');
    return [];
  }

  #readEntry(key: string, at: Place, node: Node | null): void {
    const label = key.slice(0, 60);
    const value = this.#yaml.isSeq<Node | null>(node)
      ? node.items.map((item) => this.#text(item, label, this.#at(item, this.#at(node, at))))
      : this.#text(node, label, this.#at(node, at));
    if (value === undefined) return;
    if (!Array.isArray(value)) this.entries.push({key, at, value});
    else if (value.every((each) => each !== undefined)) this.entries.push({key, at, value});
  }

  /** Undefined: a mistake, which is noted. */
  #text(node: Node | null, label: string, at: Place): Text | undefined {
    const {isAlias, isScalar} = this.#yaml;
    const syntax = (message: string) =>
      this.#wrong('CONFIG_SYNTAX', at, message, 'Write the value itself, or put it in quotes.');
    if (isAlias(node)) return syntax(`${label} is an alias (*name).`);
    if (node?.tag !== undefined) return syntax(`${label} has a tag (!name).`);
    if (node !== null && !isScalar(node))
      return this.#wrong('CONFIG_VALUE', at, `${label} has settings or lists below it.`, 'Give one value.');
    const text = String(node?.value ?? '');
    if (node === null || (node.type === 'PLAIN' && /^(~|null)?$/i.test(text)))
      return this.#wrong('CONFIG_VALUE', at, `${label} has no value.`, 'Give one, or remove the line.');
    // A block (`|`) ends with a line break.
    const line = text.replace(/\n$/, '');
    if (line.includes('\n'))
      return this.#wrong('CONFIG_VALUE', at, `${label} has several lines.`, 'Give one line.');
    return {text: line, at};
  }

  #wrong(code: ErrorCode, at: Place, message: string, next: string): undefined {
    this.mistakes.push({code, at, message, next});
  }

  #at(node: Node | null, otherwise: Place): Place {
    return node?.range === null || node?.range === undefined ? otherwise : this.#placeOf(node.range[0]);
  }
}
