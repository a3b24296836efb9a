// The entry of the command line: runs the command, handles uncaught errors, and ends the process after its output.

import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {settings} from '@oclif/core/settings';
import {EXIT, toTunlError} from '../core/errors.js';
import {report} from './failure.js';
import {withCommand} from './other-tools.js';
import {quickRun} from './quick-run.js';
import {flush, guardPipes, stdoutFailure} from './stdout.js';
import {earlyFlags} from './words.js';

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
  guardPipes();
  const words = withCommand(typed);
  guardProcess(words);
  leaveDeletedFolder();
  // oclif would look for TypeScript sources and a compiler whenever NODE_ENV is `test` or `development`.
  settings.enableAutoTranspile = false;
  const root = fileURLToPath(new URL('..', binUrl));
  try {
    const isRun = await quickRun(words, development ? {root, locate: sourceOf} : {root});
    if (!isRun) await runByOclif(words, root, development);
    await flush();
    const failure = stdoutFailure();
    if (failure !== undefined) throw failure;
  } catch (error) {
    process.exitCode = report(error, earlyFlags(words), words);
  }
  await flush();
  process.exit();
}

/** Without a current folder every relative path, and every program, would fail. */
function leaveDeletedFolder(): void {
  try {
    process.cwd();
  } catch {
    process.chdir('/');
    process.stderr.write('warning: the current folder was removed: tunl goes on in /\n');
  }
}

/** After an uncaught exception the state is unknown: the error is reported and the process ends, so that it does not hang. */
function guardProcess(words: readonly string[]): void {
  const onUncaught = (error: unknown) => {
    // oclif also throws errors of stdout; the command sees them too and ends by itself.
    if (error !== undefined && error === stdoutFailure()?.cause) return;
    process.off('uncaughtException', onUncaught);
    process.on('uncaughtException', () => process.exit(EXIT.unexpected));
    process.exitCode = report(toTunlError(error), earlyFlags(words), words);
    void flush().then(() => process.exit());
  };
  process.on('uncaughtException', onUncaught);
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
