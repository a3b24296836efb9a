// The words that could end a command line: from the manifest, without loading oclif or a command.

export interface ManifestFlag {
  type: 'boolean' | 'option';
  char?: string;
  summary?: string;
  hidden?: boolean;
  helpValue?: string;
  multiple?: boolean;
  options?: readonly string[];
}

export interface ManifestCommand {
  summary?: string;
  hidden?: boolean;
  args: Readonly<Record<string, {multiple?: boolean; description?: string; options?: readonly string[]}>>;
  flags: Readonly<Record<string, ManifestFlag>>;
}

export interface Manifest {
  commands: Readonly<Record<string, ManifestCommand>>;
}

export interface Candidate {
  value: string;
  about?: string | undefined;
}

export type Given = Readonly<Record<string, string>>;

/** Facts about this machine and the relay; each is looked up only when a word needs it. */
export interface Surroundings {
  /** IDs of what runs in the background; `ended`: also of what has ended. */
  ids: (ended: boolean) => Promise<Candidate[]>;
  /** IDs and names of sandboxes; `ended`: also of those that have ended. */
  sandboxes: (ended: boolean) => Promise<Candidate[]>;
  /** Names of the tunnels of a command in the background. */
  tunnels: (id: string) => Promise<Candidate[]>;
  /** Local ports that accept connections. */
  ports: () => Promise<Candidate[]>;
  /** Names of stored logins. */
  contexts: () => Promise<Candidate[]>;
  /** Names that the relay knows. `given`: the values of flags, by their names. They say which relay is meant. */
  egresses: (given: Given) => Promise<Candidate[]>;
  networks: (scope: 'net' | 'cluster', given: Given) => Promise<Candidate[]>;
  members: (network: string, given: Given) => Promise<Candidate[]>;
}

export interface Completion {
  candidates: Candidate[];
  /** The shell completes a file name as well. */
  files: boolean;
}

const NONE: Completion = {candidates: [], files: false};
const FILES: Completion = {candidates: [], files: true};
/** Values of flags that are paths. */
const PATHS: ReadonlySet<string> = new Set(['FILE', 'FOLDER', 'PROGRAM']);
/** Flags with the name of an egress, in commands that use one. */
const EGRESS_FLAGS: ReadonlySet<string> = new Set(['via', 'egress']);
/** Values of flags that are not among the options of the manifest. */
const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

/** @param words those after `tunl`; the last one is completed and may be empty. */
export async function complete(
  words: readonly string[],
  manifest: Manifest,
  around: Surroundings,
): Promise<Completion> {
  const {before, word, flag} = splitWords(words);
  const found = commandOf(before, manifest);
  const given = found === undefined ? {} : givenIn(found.command, found.rest);
  const valuesOf = async (name: string) =>
    found === undefined ? NONE : starting(word, await valuesFor(name, found.command, given, around));
  if (flag !== undefined) return await valuesOf(flag);
  if (before.includes('--')) return FILES;
  if (found === undefined) return starting(word, commandsAfter(before, manifest));
  const {command, id, rest} = found;
  const last = rest.at(-1) ?? '';
  if (last.startsWith('-') && takesNextWord(optionOf(command, last)?.[1])) return await valuesOf(last);
  if (word.startsWith('-')) return starting(word, flagsOf(command, rest));
  const args = positional(command, rest);
  const values = await argument({id, command, args, given}, around);
  const more = args.length === 0 ? commandsAfter(before, manifest) : [];
  return starting(word, {...values, candidates: [...more, ...values.candidates]});
}

interface Words {
  before: readonly string[];
  word: string;
  /** The word is the value of this flag, after `=`. */
  flag: string | undefined;
}

/** `--flag=value` comes as one word, or as three (bash). */
function splitWords(words: readonly string[]): Words {
  const [a, b, c] = words.slice(-3);
  const last = words.at(-1) ?? '';
  if (words.length >= 3 && b === '=' && a?.startsWith('--'))
    return {before: words.slice(0, -3), word: c ?? '', flag: a};
  const [name, equals] = words.slice(-2);
  if (words.length >= 2 && equals === '=' && name?.startsWith('--'))
    return {before: words.slice(0, -2), word: '', flag: name};
  return {before: words.slice(0, -1), word: last, flag: undefined};
}

function commandOf(words: readonly string[], {commands}: Manifest) {
  for (let length = Math.min(words.length, 3); length > 0; length -= 1) {
    const id = words.slice(0, length).join(':');
    const command = Object.hasOwn(commands, id) ? commands[id] : undefined;
    if (command) return {id, command, rest: words.slice(length)};
  }
  return undefined;
}

/** The next words of commands that begin with these words: `relay` has `start` and `ca`. */
function commandsAfter(before: readonly string[], {commands}: Manifest): Candidate[] {
  const found = new Map<string, string | undefined>();
  for (const [id, {summary, hidden}] of Object.entries(commands)) {
    const parts = id.split(':');
    const next = parts[before.length];
    if (hidden || next === undefined || before.some((each, at) => each !== parts[at])) continue;
    const isWhole = parts.length === before.length + 1;
    if (isWhole || !found.has(next)) found.set(next, isWhole ? summary : undefined);
  }
  return [...found].map(([value, about]) => ({value, about}));
}

function optionOf({flags}: ManifestCommand, word: string): [name: string, flag: ManifestFlag] | undefined {
  return Object.entries(flags).find(
    ([name, {char}]) => word === `--${name}` || (char !== undefined && word === `-${char}`),
  );
}

/** The values of flags: `--flag value`, `--flag=value`, or three words as bash splits them. */
function givenIn(command: ManifestCommand, rest: readonly string[]): Given {
  const found = rest.flatMap((word, at) => {
    const [, typed = '', joined] = /^(--[^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const [name, flag] = optionOf(command, typed) ?? [];
    if (name === undefined || flag?.type !== 'option') return [];
    const value = joined ?? (rest[at + 1] === '=' ? rest[at + 2] : rest[at + 1]);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(found);
}

/** A flag that was given is not offered again, except one that may be repeated. */
function flagsOf({flags}: ManifestCommand, rest: readonly string[]): Completion {
  const given = new Set(rest.map((word) => word.replace(/=.*$/s, '')));
  const free = Object.entries(flags).filter(
    ([name, {hidden, multiple}]) => !hidden && (multiple || !given.has(`--${name}`)),
  );
  const candidates = free.map(([name, {summary}]) => ({value: `--${name}`, about: summary}));
  return {candidates: [...candidates, {value: '--help', about: 'Show help.'}], files: false};
}

async function valuesFor(
  word: string,
  command: ManifestCommand,
  given: Given,
  around: Surroundings,
): Promise<Completion> {
  const [name, flag] = optionOf(command, word) ?? [];
  if (name === undefined || flag === undefined) return NONE;
  const {helpValue = '', options} = flag;
  const values = options ?? (helpValue === 'LEVEL' ? LEVELS : []);
  if (values.length > 0) return {candidates: values.map((value) => ({value})), files: false};
  if (name === 'context') return {candidates: await around.contexts(), files: false};
  if (name === 'net') return {candidates: await around.networks('net', given), files: false};
  if (EGRESS_FLAGS.has(name) && helpValue === 'NAME')
    return {candidates: await around.egresses(given), files: false};
  return PATHS.has(helpValue) ? FILES : NONE;
}

/** A value in brackets may be left out, and comes after `=` only. */
function takesNextWord(flag: ManifestFlag | undefined): boolean {
  return flag?.type === 'option' && !flag.helpValue?.startsWith('[');
}

/** The words that are arguments: no flags, no values of flags. */
function positional(command: ManifestCommand, rest: readonly string[]): string[] {
  return rest.filter((word, at) => {
    if (word.startsWith('-') && word !== '-') return false;
    const before = rest[at - 1];
    return !(before?.startsWith('-') && takesNextWord(optionOf(command, before)?.[1]));
  });
}

interface Position {
  id: string;
  command: ManifestCommand;
  /** The arguments before the word. */
  args: readonly string[];
  given: Given;
}

async function argument(
  {id, command, args: before, given}: Position,
  around: Surroundings,
): Promise<Completion> {
  const {args} = command;
  const names = Object.keys(args);
  const last = names.at(-1);
  const name = names[before.length] ?? (last !== undefined && args[last]?.multiple ? last : undefined);
  if (name === undefined) return NONE;
  const options = args[name]?.options;
  if (options !== undefined) return {candidates: options.map((value) => ({value})), files: false};
  if (id.startsWith('sandbox:')) return await sandboxArgument(id, name, around);
  switch (name) {
    case 'id':
      return {candidates: await around.ids(id === 'logs'), files: false};
    case 'name':
      if (id === 'cluster:join') return {candidates: await around.networks('cluster', given), files: false};
      return {candidates: await around.tunnels(before[0] ?? ''), files: false};
    case 'network':
      return {candidates: await around.networks('net', given), files: false};
    case 'member':
      return await memberPorts(before[0] ?? '', given, around);
    case 'context':
      return {candidates: await around.contexts(), files: false};
    case 'target':
      if (given.net !== undefined) return await memberPorts(given.net, given, around);
      return {candidates: await around.ports(), files: true};
    case 'folder':
      return FILES;
    default:
      return NONE;
  }
}

/** The user adds the port. */
async function memberPorts(network: string, given: Given, around: Surroundings): Promise<Completion> {
  const members = await around.members(network, given);
  return {candidates: members.map(({value, about}) => ({value: `${value}:`, about})), files: false};
}

async function sandboxArgument(id: string, name: string, around: Surroundings): Promise<Completion> {
  if (name === 'id') return {candidates: await around.sandboxes(id === 'sandbox:logs'), files: false};
  if (name !== 'from' && name !== 'to') return NONE;
  const sandboxes = await around.sandboxes(false);
  return {candidates: sandboxes.map(({value, about}) => ({value: `${value}:`, about})), files: true};
}

function starting(word: string, all: Completion | Candidate[]): Completion {
  const {candidates, files} = Array.isArray(all) ? {candidates: all, files: false} : all;
  return {candidates: candidates.filter(({value}) => value.startsWith(word)), files};
}
