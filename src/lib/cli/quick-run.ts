// Runs a command that is spelled as it should be, straight from the manifest. oclif's own start looks for plugins, themes,
// shells and hooks that tunl does not have, for as long as Node itself takes to start; it is left for help and mistakes.

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import type {Command} from '@oclif/core/command';
import {Config} from '@oclif/core/config';

interface Manifest {
  commands: Record<string, {relativePath: readonly string[]} | undefined>;
}

type CommandClass = (new (words: string[], config: Config) => Command) & {id: string};

export interface QuickRunOptions {
  /** Folder of the package. */
  root: string;
  /** Where a file of the manifest really is: the sources, in development. */
  locate?: (path: string) => string;
}

/** False when the words are not for it: no such command, help wanted, no manifest. */
export async function quickRun(words: readonly string[], options: QuickRunOptions): Promise<boolean> {
  const found = wantsHelp(words) ? undefined : find(words, readManifest(options.root));
  if (!found) return false;
  const {locate = (path) => path, root} = options;
  const module = await import(pathToFileURL(locate(join(root, ...found.path))).href);
  const command: CommandClass = module.default;
  command.id = found.id;
  const config = Object.assign(new Config({root}), {
    bin: 'tunl',
    // No hook concerns a command that is found: there is only one, for those that are not.
    runHook: async () => ({successes: [], failures: []}),
  });
  // What `Command.run` calls once it has loaded its configuration.
  await (new command([...found.rest], config) as unknown as {_run(): Promise<unknown>})._run();
  return true;
}

/** The longest name at the beginning: `relay start` before `relay`. */
function find(words: readonly string[], manifest: Manifest | undefined) {
  for (let length = Math.min(words.length, 3); length > 0; length -= 1) {
    const id = words.slice(0, length).join(':');
    const path =
      manifest && Object.hasOwn(manifest.commands, id) ? manifest.commands[id]?.relativePath : undefined;
    if (path) return {id, path, rest: words.slice(length)};
  }
  return undefined;
}

function wantsHelp(words: readonly string[]): boolean {
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  return own.some((word) => word === '--help' || word === '-h' || word === '--version');
}

function readManifest(root: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8'));
  } catch {
    // oclif finds the commands without it, and says so where it cannot.
    return undefined;
  }
}
