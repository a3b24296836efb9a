// The way into the command line: sets oclif up, catches what no command caught, and ends the process when all is said.

import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {run} from '@oclif/core/run';
import {settings} from '@oclif/core/settings';
import {report} from './failure.js';
import {flush, guardPipes} from './stdout.js';
import {wishes} from './words.js';

export interface MainOptions {
  /** Runs the sources instead of what was built from them. */
  development?: boolean;
}

/** @param binUrl `import.meta.url` of the file in bin/. */
export async function main(
  words: readonly string[],
  binUrl: string,
  options: MainOptions = {},
): Promise<void> {
  guardPipes();
  process.once('uncaughtException', (error) => {
    // State is unknown from here on: say so and end, rather than hang or go on half.
    process.exit(report(error, {...wishes(words), debug: true}, words));
  });
  // oclif would look for TypeScript sources and a compiler whenever NODE_ENV is `test` or `development`.
  settings.enableAutoTranspile = false;
  try {
    await run(asFlags(words), loadOptions(binUrl, options));
  } catch (error) {
    process.exitCode = report(error, wishes(words), words);
  }
  await flush();
  process.exit();
}

/** `tunl help expose` is `tunl expose --help`. */
function asFlags(words: readonly string[]): string[] {
  return words[0] === 'help' ? [...words.slice(1), '--help'] : [...words];
}

function loadOptions(binUrl: string, {development = false}: MainOptions) {
  const root = fileURLToPath(new URL('..', binUrl));
  if (!development) return {root};
  const manifest = readFileSync(`${root}/package.json`, 'utf8');
  const pjson = JSON.parse(
    manifest.replaceAll('"./dist/', '"./src/').replace(/("\.\/src\/lib\/[\w/-]+)\.js"/g, '$1.ts"'),
  );
  return {root, pjson, ignoreManifest: true};
}
