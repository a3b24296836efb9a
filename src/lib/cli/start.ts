// The entry of the bundle: runs a correctly spelled command from the bundle, and leaves all else to `main`, which is not in it.

import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {withCommand} from './other-tools.js';
import {type FoundCommand, longestCommand, runCommand, wantsHelp} from './quick-run.js';
import {wholeProcess} from './whole-process.js';

/** @param binUrl `import.meta.url` of the file in bin/. */
export async function start(typed: readonly string[], binUrl: string): Promise<void> {
  const words = withCommand(typed);
  const root = fileURLToPath(new URL('..', binUrl));
  const command = wantsHelp(words) ? undefined : findInBundle(words, join(root, 'dist/bundle/commands'));
  if (command === undefined) return await startByModules(typed, binUrl);
  await wholeProcess(words, () => runCommand(command, root));
}

/** By the names of the files: the manifest has as many commands, but takes a millisecond to read. */
function findInBundle(words: readonly string[], folder: string): FoundCommand | undefined {
  return longestCommand(words, (name) => {
    const file = `${join(folder, ...name)}.js`;
    return name.every((word) => /^[a-z][a-z-]*$/.test(word)) && existsSync(file) ? file : undefined;
  });
}

/** The bundle and the modules that `main` loads share nothing, so neither may see an object of the other. */
async function startByModules(typed: readonly string[], binUrl: string): Promise<void> {
  const modules: typeof import('./main.js') = await import(new URL('../dist/lib/cli/main.js', binUrl).href);
  await modules.main(typed, binUrl);
}
