// Passes the output of a command inside a sandbox to stderr as it is, as slowly as its reader wants it.

import {once} from 'node:events';

export async function passOnStderr(output: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of output) await writeStderr(chunk);
}

/** Resolves when more may come, also when the reader has gone. */
export async function writeStderr(chunk: Uint8Array): Promise<void> {
  const {stderr} = process;
  if (stderr.destroyed || stderr.write(chunk)) return;
  const settled = new AbortController();
  const {signal} = settled;
  await Promise.race([once(stderr, 'drain', {signal}), once(stderr, 'close', {signal})]).catch(() => {});
  settled.abort();
}
