// The only file that writes to stdout, and only whole lines. A reader that is gone is an end, not an error.

import {once} from 'node:events';
import {closeSync, fstatSync, openSync} from 'node:fs';
import type {Duplex} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {systemCode, TunlError} from '../core/errors.js';
import {watchPipeReader} from './pipe-reader.js';

/** With more waiting bytes than this, `isCongested` is true: a reader that stopped must not fill the memory. */
const CONGESTED_BYTES = 1024 * 1024;
/** After `limitFlush` the process ends when its last lines were not written within this time, ms. */
const FLUSH_MS = 2000;
/** The same for stderr, where the last output of a program may wait for a slow reader. */
const FLUSH_OUTPUT_MS = 10_000;

let gone = false;
/** This process has ended its output before its own end. */
let ended = false;
let failure: TunlError | undefined;
const listeners = new Set<() => void>();
/** Aborted by `limitFlush`. */
const limited = new AbortController();

/** Writes one line. Has no effect when the reader has gone. */
export function writeLine(line: string): void {
  if (!gone && !ended) process.stdout.write(`${line}\n`);
}

/** True while the reader is far behind: events that can be skipped should be. */
export function isCongested(): boolean {
  return process.stdout.writableLength > CONGESTED_BYTES;
}

/** Calls `fn` when the reader closes its end (`| head -1`), or at once if it is closed. Disposal stops it. */
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
 * Joins stdin and stdout with a connection. Each direction ends separately, and the other one continues. Resolves when both
 * have ended, or when there are bytes that nobody reads (`| head -1`). @throws the error that broke the connection
 */
export async function joinStdio(peer: Duplex): Promise<void> {
  let isUnread = false;
  const breakOff = () => {
    isUnread = true;
    peer.destroy();
  };
  listeners.add(breakOff);
  const inward = pipeline(process.stdin, peer);
  const outward = (async () => {
    await passOn(peer.iterator({destroyOnReturn: false}));
    if (gone) return;
    await flush();
    // Node never closes stdout, but its reader waits for the end.
    closeSync(1);
    gone = true;
  })();
  try {
    await Promise.all([inward, outward]);
  } catch (error) {
    if (!isUnread) throw error;
  } finally {
    listeners.delete(breakOff);
  }
}

/** Writes a sequence of bytes as it is. Resolves at its end, or when the reader has gone. */
export async function passOn(output: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of output) {
    if (gone) return;
    await writeBytes(chunk);
  }
}

/** Writes bytes as they are. Resolves when more may come, or when the reader has gone. */
export async function writeBytes(chunk: Uint8Array): Promise<void> {
  if (!gone && !process.stdout.write(chunk)) await drained();
}

/** For output as lines: resolves when the reader is not far behind, or has gone. */
export async function roomOnStdout(): Promise<void> {
  if (!gone && isCongested()) await drained();
}

async function drained(): Promise<void> {
  const settled = new AbortController();
  const drained = once(process.stdout, 'drain', {signal: settled.signal}).catch(() => {});
  const noReader = Promise.withResolvers<void>();
  listeners.add(noReader.resolve);
  await Promise.race([drained, noReader.promise]);
  listeners.delete(noReader.resolve);
  settled.abort();
}

export function isTerminal(): boolean {
  return process.stdout.isTTY === true;
}

/** The size of the terminal that stdout is; undefined when it is none. */
export function stdoutSize(): {columns: number; rows: number} | undefined {
  const {isTTY, columns, rows} = process.stdout;
  return isTTY && columns > 0 && rows > 0 ? {columns, rows} : undefined;
}

/** Calls `fn` when the size has changed. Disposal stops it. */
export function onResize(fn: () => void): Disposable {
  process.stdout.on('resize', fn);
  return {[Symbol.dispose]: () => void process.stdout.off('resize', fn)};
}

/** The reader sees the end, and the process goes on. */
export async function endStdout(): Promise<void> {
  await flush();
  ended = true;
  closeSync(1);
  // It gets the lowest free descriptor: a socket there would get whatever is written to stdout.
  openSync('/dev/null', 'w');
}

/** True when stdout and stderr are the same terminal, pipe or file. */
export function isOneStream(): boolean {
  try {
    const [out, err] = [fstatSync(1), fstatSync(2)];
    return out.dev === err.dev && out.ino === err.ino;
  } catch {
    return false;
  }
}

/**
 * From now on `flush` waits only for a limited time: the end was requested, or the output is not worth a process that stays.
 * It applies to a `flush` that waits already, too.
 */
export function limitFlush(): void {
  limited.abort();
}

/** Resolves when all output is written, when the reader has gone, or after `limitFlush` and a limit of time. */
export async function flush(): Promise<void> {
  // A write to a file is synchronous, but its error comes a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  if (!gone) await written(process.stdout, FLUSH_MS);
  await written(process.stderr, FLUSH_OUTPUT_MS);
}

async function written(stream: NodeJS.WriteStream, withinMs: number): Promise<void> {
  if (stream.writableLength === 0) return;
  const {promise, resolve} = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  const limit = () => {
    timer = setTimeout(resolve, withinMs);
  };
  limited.signal.addEventListener('abort', limit, {once: true});
  if (limited.signal.aborted) limit();
  stream.write('', () => resolve());
  await promise;
  limited.signal.removeEventListener('abort', limit);
  clearTimeout(timer);
}

/** The error of stdout other than a gone reader, such as a full disk. */
export function stdoutFailure(): TunlError | undefined {
  return failure;
}

/** Ignores broken pipes on stdout and stderr. Called once, before anything is written. */
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
    // Nobody reads stderr, so its error cannot be reported.
  });
}

function readerGone(): void {
  if (gone || ended) return;
  gone = true;
  for (const fn of listeners) fn();
  listeners.clear();
}
