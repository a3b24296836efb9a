// Reads a command line that is spelled as it should be. Whatever is unusual about one is oclif's to read, or to refuse:
// its parser is loaded only then, since loading it takes longer than everything else that a command does at its start.

/** What is read of oclif's definitions. */
export interface WordsInput {
  flags: Record<string, FlagShape>;
  args: Record<string, ArgShape>;
}

interface FlagShape {
  type: string;
  char?: string | undefined;
  env?: string | undefined;
  default?: unknown;
  multiple?: boolean | undefined;
  required?: boolean | undefined;
  parse?: unknown;
}

interface ArgShape {
  default?: unknown;
  ignoreStdin?: boolean | undefined;
  required?: boolean | undefined;
  parse?: unknown;
}

export interface ParsedWords {
  flags: Record<string, unknown>;
  args: Record<string, unknown>;
}

/** All that a definition may say for this parser to take it; anything more is oclif's to understand. */
const KNOWN = new Set([
  ...['type', 'parse', 'input', 'name', 'char', 'env', 'default', 'required', 'ignoreStdin'],
  ...[
    'summary',
    'description',
    'helpValue',
    'helpGroup',
    'hidden',
    'multiple',
    'multipleNonGreedy',
    'allowNo',
  ],
]);

type Parse = (value: unknown, context: object, definition: object) => Promise<unknown>;

/** Undefined: not for this parser. @throws what a flag's `parse` throws. */
export async function parseWords(
  words: readonly string[],
  {flags, args}: WordsInput,
): Promise<ParsedWords | undefined> {
  if (![...Object.values(flags), ...Object.values(args)].every(isSimple)) return undefined;
  const raw = split(words, flags);
  const names = Object.keys(args);
  if (raw === undefined || raw.plain.length > names.length) return undefined;
  const result: ParsedWords = {flags: {}, args: {}};
  for (const [name, definition] of Object.entries(args)) {
    const word = raw.plain[names.indexOf(name)];
    if (word !== undefined) result.args[name] = await read(name, definition, word);
    else if (definition.required || !definition.ignoreStdin || definition.default !== undefined)
      return undefined;
  }
  for (const [name, definition] of Object.entries(flags)) {
    const value = raw.flags.get(name) ?? fromEnvironment(definition);
    if (value !== undefined) {
      if (definition.multiple) return undefined;
      result.flags[name] = await read(name, definition, value);
    } else if (definition.required) return undefined;
    else if (definition.default !== undefined) result.flags[name] = definition.default;
  }
  return result;
}

/** What was given for which flag, and the words that belong to none. */
function split(words: readonly string[], flags: WordsInput['flags']) {
  const given = new Map<string, string | true>();
  const plain: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as string;
    if (!word.startsWith('-')) {
      plain.push(word);
      continue;
    }
    const equals = word.indexOf('=');
    const name = nameOf(equals < 0 ? word : word.slice(0, equals), flags);
    const definition = name === undefined ? undefined : flags[name];
    if (name === undefined || definition === undefined || given.has(name)) return undefined;
    if (definition.type === 'boolean') {
      if (equals >= 0) return undefined;
      given.set(name, true);
      continue;
    }
    if (equals < 0) at += 1;
    const value = equals < 0 ? words[at] : word.slice(equals + 1);
    // A value that looks like a flag, or is nothing, is a mistake more often than not.
    if (value === undefined || value === '' || value.startsWith('-')) return undefined;
    given.set(name, value);
  }
  return {flags: given, plain};
}

function nameOf(word: string, flags: WordsInput['flags']): string | undefined {
  if (word.startsWith('--')) return Object.hasOwn(flags, word.slice(2)) ? word.slice(2) : undefined;
  if (word.length !== 2) return undefined;
  return Object.keys(flags).find((name) => flags[name]?.char === word[1]);
}

function fromEnvironment({env, type}: FlagShape): string | undefined {
  return env !== undefined && type === 'option' ? process.env[env] || undefined : undefined;
}

const isSimple = (definition: FlagShape | ArgShape): boolean =>
  Object.keys(definition).every((key) => KNOWN.has(key)) && typeof definition.default !== 'function';

function read(name: string, definition: {parse?: unknown}, value: string | true): Promise<unknown> {
  return (definition.parse as Parse)(value, {}, {...definition, name});
}
