// Reads the lines of a growing log, across the two files of `BoundedLog`.

import {type FileHandle, open, readFile} from 'node:fs/promises';
import {StringDecoder} from 'node:string_decoder';
import {setTimeout as sleep} from 'node:timers/promises';
import {systemCode, TunlError} from '../core/errors.js';
import {olderLog} from '../launch/bounded-log.js';

const LOOK_EVERY_MS = 200;
const CHUNK_BYTES = 64 * 1024;
const GAP = '[lines are left out here: the log was written faster than it was read]';

/** Ends at the file's end when `goesOn` returns false. @throws TunlError FILE_UNREADABLE */
export async function* readLog(
  path: string,
  goesOn: () => Promise<boolean> | boolean,
): AsyncGenerator<string> {
  const file = await openLog(path);
  await using _file = {[Symbol.asyncDispose]: () => file.close()};
  const lines = new Lines();
  let {generation, path: older} = await olderLog(path);
  if (older !== undefined) yield* lines.read(await readFile(older).catch(() => Buffer.alloc(0)));
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let position = 0;
  let wasEmptied = false;
  for (let more = true; ; ) {
    const {bytesRead} = await file.read(buffer, 0, CHUNK_BYTES, position);
    const now = await olderLog(path);
    if (now.generation !== generation) {
      // The bytes just read may belong to the new file. The rest of the old one is in the older file, unless that was
      // replaced already.
      const isNext = now.generation === generation + 1;
      const rest = now.path === undefined ? undefined : await readFile(now.path).catch(() => undefined);
      if (!isNext || rest === undefined) yield* lines.gap(GAP);
      if (rest !== undefined) yield* lines.read(isNext ? rest.subarray(position) : rest);
      generation = now.generation;
      position = 0;
      continue;
    }
    position += bytesRead;
    yield* lines.read(buffer.subarray(0, bytesRead));
    if (bytesRead > 0) continue;
    const isEmptied = (await file.stat()).size < position;
    // The log was emptied, and its copy is still missing: the writer died in between, or another program emptied it.
    if (isEmptied && wasEmptied) position = 0;
    wasEmptied = isEmptied;
    // Read once more after the end: the last lines may have come between the two reads.
    if (!more && !isEmptied) break;
    if (!isEmptied) more = await goesOn();
    if (more || isEmptied) await sleep(LOOK_EVERY_MS);
  }
  yield* lines.end();
}

async function openLog(path: string): Promise<FileHandle> {
  return await open(path).catch((error: unknown) => {
    throw new TunlError('FILE_UNREADABLE', {
      reason: `${path} cannot be read (${systemCode(error)}).`,
      cause: error,
    });
  });
}

/** Splits bytes into lines; the last one is held back until its end has come. */
class Lines {
  #decoder = new StringDecoder('utf8');
  #partial = '';

  *read(bytes: Buffer): Generator<string> {
    const lines = (this.#partial + this.#decoder.write(bytes)).split('\n');
    this.#partial = lines.pop() ?? '';
    yield* lines;
  }

  *gap(text: string): Generator<string> {
    yield* this.end();
    this.#decoder = new StringDecoder('utf8');
    yield text;
  }

  *end(): Generator<string> {
    if (this.#partial !== '') yield this.#partial;
    this.#partial = '';
  }
}
