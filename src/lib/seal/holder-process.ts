// The process of the holder: how it is started, followed and ended.

import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {packageRoot} from '../core/package-root.js';
import {withStreams} from './child-streams.js';
import {PROGRAM_PATH} from './holder.js';

/** For each step of the holder, ms. The slowest is the start of Node. */
const STEP_TIMEOUT_MS = 20_000;
const MAX_STDERR = 4_096;
const LAST_WORDS_MS = 100;

export interface HolderParts {
  readonly lines: AsyncIterator<string>;
  /** Its messages, when it has failed. */
  readonly said: () => Promise<string>;
  readonly ended: Promise<undefined>;
}

/**
 * @param words end with the shell that runs the holder. @param variables of the holder
 * @param more pipes, from descriptor 6 on
 * @throws Error of the system
 */
export function startHolder(
  [program = '', ...words]: readonly string[],
  variables: Readonly<Record<string, string>>,
  more: readonly ('ignore' | 'pipe')[] = [],
): ChildProcess {
  const own = (name: string) => fileURLToPath(new URL(`dist/bundle/seal/${name}.js`, packageRoot));
  const child = spawn(program, [...words, process.execPath, own('doors'), own('dialler'), own('tun')], {
    // A signal for the terminal's group must not open the seal while its programs drain.
    detached: true,
    cwd: '/',
    env: {PATH: PROGRAM_PATH, ...variables},
    stdio: ['pipe', 'pipe', 'pipe', 'ipc', 'pipe', 'pipe', ...more],
  });
  return withStreams(child);
}

export function follow(child: ChildProcess): HolderParts {
  const said = gather(child);
  const lines = createInterface({input: child.stdout as NodeJS.ReadableStream})[Symbol.asyncIterator]();
  // The lines of a pipe that is destroyed have no end.
  const gone = () => undefined;
  return {lines, said, ended: once(child, 'exit').then(gone, gone)};
}

function gather(child: ChildProcess): () => Promise<string> {
  let text = '';
  child.stderr?.on('data', (piece: Buffer) => {
    if (text.length < MAX_STDERR) text += piece.toString('latin1');
  });
  const end = new Promise<void>((resolve) => void child.stderr?.once('close', resolve));
  // Its end closes the pipes while something is being written; `exit` tells of that.
  for (const pipe of [child.stdin, child.stdio[4], ...child.stdio.slice(5)]) pipe?.on('error', () => {});
  child.on('error', (error) => {
    text += error.message;
  });
  return async () => {
    // The exit of a process may be known before its last words.
    await deadline(end, LAST_WORDS_MS);
    return text;
  };
}

export function kill(child: ChildProcess): void {
  child.kill('SIGKILL');
  for (const pipe of child.stdio) pipe?.destroy();
  if (child.connected) child.disconnect();
}

export const isRunning = ({exitCode, signalCode}: ChildProcess): boolean =>
  exitCode === null && signalCode === null;

/** Undefined when the time is over. */
export async function deadline<T>(step: Promise<T>, ms = STEP_TIMEOUT_MS): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([step, late]);
  } finally {
    clearTimeout(timer);
  }
}
