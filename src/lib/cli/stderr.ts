// Passes output of programs on to stderr, as slowly as its reader wants it.

import {once} from 'node:events';

/** With more waiting bytes than this there is no room: a reader that has stopped must not fill the memory. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** One wait for all: Node warns of more than ten listeners, and a cluster has more outputs. */
let draining: Promise<void> | undefined;

export async function passOnStderr(output: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of output) await writeStderr(chunk);
}

/** Resolves when more may come, also when the reader has gone. */
export async function writeStderr(chunk: Uint8Array): Promise<void> {
  const {stderr} = process;
  if (!stderr.destroyed && !stderr.write(chunk)) await drained();
}

/** For output that others write to stderr: resolves when more may come, also when the reader has gone. */
export async function roomOnStderr(): Promise<void> {
  const {stderr} = process;
  if (!stderr.destroyed && stderr.writableLength > MAX_WAITING_BYTES) await drained();
}

function drained(): Promise<void> {
  draining ??= drainOnce().finally(() => {
    draining = undefined;
  });
  return draining;
}

async function drainOnce(): Promise<void> {
  const {stderr} = process;
  const settled = new AbortController();
  const {signal} = settled;
  await Promise.race([once(stderr, 'drain', {signal}), once(stderr, 'close', {signal})]).catch(() => {});
  settled.abort();
}
