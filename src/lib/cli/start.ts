// The entry of the bundle: runs a correctly spelled command from the bundle, and leaves all else to `main`, which is not in it.

import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {withCommand} from './other-tools.js';
import {findCommand, runCommand} from './quick-run.js';
import {wholeProcess} from './whole-process.js';

/** @param binUrl `import.meta.url` of the file in bin/. */
export async function start(typed: readonly string[], binUrl: string): Promise<void> {
  const words = withCommand(typed);
  const root = fileURLToPath(new URL('..', binUrl));
  const command = findCommand(words, root);
  if (command === undefined) return await startByModules(typed, binUrl);
  // `dist/commands/expose.js` → `dist/bundle/commands/expose.js`.
  const file = join(root, 'dist/bundle', command.path.slice('dist/'.length));
  await wholeProcess(words, () => runCommand(command, root, file));
}

/** The bundle and the modules that `main` loads share nothing, so neither may see an object of the other. */
async function startByModules(typed: readonly string[], binUrl: string): Promise<void> {
  const modules: typeof import('./main.js') = await import(new URL('../dist/lib/cli/main.js', binUrl).href);
  await modules.main(typed, binUrl);
}
