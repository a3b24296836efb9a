// A command line in its own process: handles uncaught errors, and ends the process after its output.

import {EXIT, toTunlError} from '../core/errors.js';
import {report} from './failure.js';
import {flush, guardPipes, limitFlush, stdoutFailure} from './stdout.js';
import {earlyFlags} from './words.js';

/** Ends the process when `run` has ended. */
export async function wholeProcess(words: readonly string[], run: () => Promise<void>): Promise<void> {
  guardPipes();
  guardProcess(words);
  leaveDeletedFolder();
  try {
    await run();
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
    limitFlush();
    void flush().then(() => process.exit());
  };
  process.on('uncaughtException', onUncaught);
}
