// Lines of a growing file, as they come.

import {open} from 'node:fs/promises';
import {StringDecoder} from 'node:string_decoder';
import {setTimeout as sleep} from 'node:timers/promises';
import {systemCode, TunlError} from '../core/errors.js';

const LOOK_EVERY_MS = 200;
const CHUNK_BYTES = 64 * 1024;

/** Ends at the file's end once `goesOn` says no. @throws TunlError FILE_UNREADABLE */
export async function* readLog(
  path: string,
  goesOn: () => Promise<boolean> | boolean,
): AsyncGenerator<string> {
  const file = await open(path).catch((error: unknown) => {
    throw new TunlError('FILE_UNREADABLE', {
      reason: `${path} cannot be read (${systemCode(error)}).`,
      cause: error,
    });
  });
  await using _file = {[Symbol.asyncDispose]: () => file.close()};
  const decoder = new StringDecoder('utf8');
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let partial = '';
  for (let more = true; ; ) {
    const {bytesRead} = await file.read(buffer, 0, CHUNK_BYTES);
    const lines = (partial + decoder.write(buffer.subarray(0, bytesRead))).split('\n');
    partial = lines.pop() ?? '';
    yield* lines;
    if (bytesRead > 0) continue;
    // Once more after the end: its last words came between the two looks.
    if (!more) break;
    more = await goesOn();
    if (more) await sleep(LOOK_EVERY_MS);
  }
  if (partial !== '') yield partial;
}
