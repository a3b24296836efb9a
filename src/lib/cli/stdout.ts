// The one file that writes stdout: whole lines, nothing else. A reader that has gone is an end, not an error.

import {once} from 'node:events';
import {closeSync} from 'node:fs';
import type {Duplex} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {systemCode, TunlError} from '../core/errors.js';
import {watchPipeReader} from './pipe-reader.js';

/** Waiting bytes above which `isCongested` says so: a reader that stopped must not fill the memory. */
const CONGESTED_BYTES = 1024 * 1024;
/** How long the last lines may take to leave before the process ends without them, ms. */
const FLUSH_MS = 2000;

let gone = false;
let failure: TunlError | undefined;
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

/**
 * Joins stdin and stdout with a connection, each direction for itself: the end of one is passed on, the other goes on.
 * Resolves when both have ended. @throws what broke the connection
 */
export async function joinStdio(peer: Duplex): Promise<void> {
  const inward = pipeline(process.stdin, peer);
  const outward = (async () => {
    for await (const chunk of peer.iterator({destroyOnReturn: false})) {
      if (gone) return;
      if (!process.stdout.write(chunk)) await Promise.race([once(process.stdout, 'drain'), readerHasGone()]);
    }
    await flush();
    // Node never closes stdout by itself, and who reads it waits for its end.
    closeSync(1);
    gone = true;
  })();
  await Promise.all([inward, outward]);
}

function readerHasGone(): Promise<void> {
  return new Promise((resolve) => listeners.add(resolve));
}

/** Resolves when everything written has left, the reader has gone, or it takes too long. */
export async function flush(): Promise<void> {
  // Files are written at once; what they say about it comes a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  if (gone || process.stdout.writableLength === 0) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, FLUSH_MS);
    process.stdout.write('', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Why stdout takes no more, where it is not that its reader has gone: a full disk. */
export function stdoutFailure(): TunlError | undefined {
  return failure;
}

/** Makes broken pipes on stdout and stderr quiet. Called once, before anything is written. */
export function guardPipes(): void {
  process.stdout.on('error', (error) => {
    const code = systemCode(error);
    if (code !== 'EPIPE') {
      failure ??= new TunlError('STDOUT_FAILED', {
        reason: `stdout cannot be written (${code}).`,
        cause: error,
      });
    }
    readerGone();
  });
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
