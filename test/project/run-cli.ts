// Runs the command line from its sources in a separate process, with an environment without settings.

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {ROOT} from './source-files.js';

export interface Outcome {
  stdout: string;
  stderr: string;
  exitCode: number | null;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** A started `tunl`. Killed when its scope ends. */
export interface RunningCli extends AsyncDisposable {
  child: ChildProcessWithoutNullStreams;
  /** The next line of stdout; rejects at the end of stdout. */
  line(): Promise<string>;
  /** All output and the exit, when the process has ended. */
  outcome: Promise<Outcome>;
  /** The text on stderr so far. */
  stderr(): string;
  /** Resolves when stderr matches; rejects when the process ends first. */
  told(what: RegExp): Promise<RegExpExecArray>;
}

export function startCli(words: readonly string[], {env = {}, cwd = ROOT}: RunOptions = {}): RunningCli {
  const {PATH = '', HOME = ''} = process.env;
  const child = spawn(process.execPath, [`${ROOT}/bin/dev.js`, ...words], {
    cwd,
    // With a cache of compiled sources a start takes half the time.
    env: {PATH, HOME, NODE_COMPILE_CACHE: `${ROOT}/.cache/compiled`, ...env},
  });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
  const outcome = once(child, 'close').then(([exitCode]) => ({
    stdout,
    stderr,
    exitCode: exitCode as number | null,
  }));
  return {
    child,
    async line() {
      const next = await lines.next();
      if (next.done) throw new Error(`stdout has ended; stderr: ${stderr}`);
      return next.value;
    },
    outcome,
    stderr: () => stderr,
    async told(what) {
      for (;;) {
        const found = what.exec(stderr);
        if (found) return found;
        if (child.stderr.readableEnded) throw new Error(`stderr has ended without ${what}: ${stderr}`);
        await Promise.race([once(child.stderr, 'data'), once(child.stderr, 'end')]);
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await outcome;
    },
  };
}

/** Runs the command to its end. stdin is closed at once. */
export async function runCli(words: readonly string[], options?: RunOptions): Promise<Outcome> {
  await using cli = startCli(words, options);
  cli.child.stdin.end();
  return await cli.outcome;
}
