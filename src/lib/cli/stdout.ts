// The one file that writes stdout: whole lines, nothing else. A reader that has gone is an end, not an error.

import {watchPipeReader} from './pipe-reader.js';

/** Waiting bytes above which `isCongested` says so: a reader that stopped must not fill the memory. */
const CONGESTED_BYTES = 1024 * 1024;
/** How long the last lines may take to leave before the process ends without them, ms. */
const FLUSH_MS = 2000;

let gone = false;
const listeners = new Set<() => void>();

/** Writes one line. Without effect once the reader has gone. */
export function writeLine(line: string): void {
  if (!gone) process.stdout.write(`${line}\n`);
}

/** True while a reader is far behind: what can be left out should be. */
export function isCongested(): boolean {
  return process.stdout.writableLength > CONGESTED_BYTES;
}

/** Calls `fn` when the reader has closed its end (`| head -1`), at once if it has already. Disposing stops listening. */
export function onReaderGone(fn: () => void): Disposable {
  if (gone) fn();
  else listeners.add(fn);
  const watching = watchPipeReader({fd: 1, onGone: readerGone});
  return {
    [Symbol.dispose]() {
      listeners.delete(fn);
      watching[Symbol.dispose]();
    },
  };
}

/** Resolves when everything written has left, the reader has gone, or it takes too long. */
export async function flush(): Promise<void> {
  if (gone || process.stdout.writableLength === 0) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, FLUSH_MS);
    process.stdout.write('', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Makes broken pipes on stdout and stderr quiet. Called once, before anything is written. */
export function guardPipes(): void {
  process.stdout.on('error', readerGone);
  process.stderr.on('error', () => {
    // Nobody reads what people are told: nothing to tell anybody.
  });
}

function readerGone(): void {
  if (gone) return;
  gone = true;
  for (const fn of listeners) fn();
  listeners.clear();
}
