// Runs a correctly spelled command directly from the manifest. oclif's own start looks for plugins, themes, shells and hooks
// that tunl does not have, and takes as long as the start of Node. It is used only for help and errors.

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
  /** Maps a file of the manifest to its real path: in development to the sources. */
  locate?: (path: string) => string;
}

/** Returns false when it did not run: no such command, a call for help, or no manifest. */
export async function quickRun(words: readonly string[], options: QuickRunOptions): Promise<boolean> {
  const found = wantsHelp(words) ? undefined : find(words, readManifest(options.root));
  if (!found) return false;
  const {locate = (path) => path, root} = options;
  const module = await import(pathToFileURL(locate(join(root, ...found.path))).href);
  const command: CommandClass = module.default;
  command.id = found.id;
  const config = Object.assign(new Config({root}), {
    bin: 'tunl',
    // The only hook is for unknown commands, so no hook has to run.
    runHook: async () => ({successes: [], failures: []}),
  });
  // `Command.run` calls this after it has loaded its configuration.
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
    // Without a manifest oclif finds the commands itself, or reports an error.
    return undefined;
  }
}
