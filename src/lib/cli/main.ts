// The entry of the command line module by module, with oclif: for help and mistakes, and for all commands of the sources.

import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {settings} from '@oclif/core/settings';
import {withCommand} from './other-tools.js';
import {findCommand, runCommand} from './quick-run.js';
import {wholeProcess} from './whole-process.js';

export interface MainOptions {
  /** Runs the sources instead of the build. */
  development?: boolean;
}

/** @param binUrl `import.meta.url` of the file in bin/. */
export async function main(
  typed: readonly string[],
  binUrl: string,
  {development = false}: MainOptions = {},
): Promise<void> {
  const words = withCommand(typed);
  const root = fileURLToPath(new URL('..', binUrl));
  // oclif would look for TypeScript sources and a compiler whenever NODE_ENV is `test` or `development`.
  settings.enableAutoTranspile = false;
  await wholeProcess(words, async () => {
    const command = findCommand(words, root);
    if (command === undefined) return await runByOclif(words, root, development);
    await runCommand(development ? {...command, file: sourceOf(command.file)} : command, root);
  });
}

/** Handles help and unknown commands. */
async function runByOclif(words: readonly string[], root: string, development: boolean): Promise<void> {
  const {run} = await import('@oclif/core/run');
  // `tunl help expose` is `tunl expose --help`.
  const argv = words[0] === 'help' ? [...words.slice(1), '--help'] : [...words];
  if (!development) return void (await run(argv, {root}));
  const pjson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'), (_key, value) =>
    typeof value === 'string' && value.startsWith('./dist/') ? sourceOf(value) : value,
  );
  await run(argv, {root, pjson, ignoreManifest: true});
}

/** `dist/lib/x.js` → `src/lib/x.ts`. */
function sourceOf(path: string): string {
  return path.replace(/(^|\/)dist\//, '$1src/').replace(/\.js$/, '.ts');
}
