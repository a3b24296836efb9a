// Runs a correctly spelled command directly from the manifest. oclif's own start looks for plugins, themes, shells and hooks
// that tunl does not have, and takes as long as the start of Node. It is used only for help and errors.

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import type {Interfaces} from '@oclif/core';
import type {Command} from '@oclif/core/command';
import {type Flags, withDashes} from './sandbox/dashes.js';

interface Manifest {
  commands: Record<string, ManifestCommand | undefined>;
}

interface ManifestCommand {
  relativePath: readonly string[];
  flags: Flags;
  dashesOptional: boolean;
}

type CommandClass = (new (words: string[], config: Interfaces.Config) => Command) & {id: string};

/** A command with the words that follow its name. */
export interface FoundCommand {
  id: string;
  file: string;
  rest: readonly string[];
}

/** Undefined for a call for help, when there is no such command, and without a manifest. @param root folder of the package */
export function findCommand(words: readonly string[], root: string): FoundCommand | undefined {
  const commands = readManifest(root)?.commands ?? {};
  const named = (id: string) => (Object.hasOwn(commands, id) ? commands[id] : undefined);
  const found = longestCommand(words, (name) => {
    const path = named(name.join(':'))?.relativePath;
    return path && join(root, ...path);
  });
  if (found === undefined) return undefined;
  const {dashesOptional = false, flags = {}} = named(found.id) ?? {};
  // In `sandbox exec box ls --help` the help is that of `ls`.
  return wantsHelp(dashesOptional ? withDashes(found.rest, flags) : found.rest) ? undefined : found;
}

/** The longest name at the beginning: `relay start` before `relay`. @param fileOf undefined when there is no such command */
export function longestCommand(
  words: readonly string[],
  fileOf: (name: readonly string[]) => string | undefined,
): FoundCommand | undefined {
  for (let length = Math.min(words.length, 3); length > 0; length -= 1) {
    const name = words.slice(0, length);
    const file = fileOf(name);
    if (file) return {id: name.join(':'), file, rest: words.slice(length)};
  }
  return undefined;
}

export async function runCommand({id, file, rest}: FoundCommand, root: string): Promise<void> {
  const module = await import(pathToFileURL(file).href);
  const command: CommandClass = module.default;
  command.id = id;
  // `Command.run` calls this after it has loaded its configuration.
  await (new command([...rest], configOf(root)) as unknown as {_run(): Promise<unknown>})._run();
}

/** The part of oclif's configuration that a running command reads. The class itself would load help, plugins and themes. */
function configOf(root: string): Interfaces.Config {
  const config: Pick<Interfaces.Config, 'bin' | 'root' | 'runHook' | 'scopedEnvVarKeys'> = {
    bin: 'tunl',
    root,
    // The only hook is for unknown commands, so no hook has to run.
    runHook: async () => ({successes: [], failures: []}),
    scopedEnvVarKeys: (name) => [`TUNL_${name}`],
  };
  return config as Interfaces.Config;
}

export function wantsHelp(words: readonly string[]): boolean {
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  return own.some((word) => word === '--help' || word === '-h' || word === '--version');
}

function readManifest(root: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8'));
  } catch {
    // Without a manifest oclif finds the commands itself, or reports an error.
    return undefined;
  }
}
