// Reads the first line of a Duplex, and leaves the bytes after it to the next reader.

import type {Readable} from 'node:stream';
import {LineReader} from '../../protocol/lines.js';

/** Undefined: the input ended before the line did. @throws MalformedMessage for a line beyond the limit; the input's own error. */
export async function readFirstLine(input: Readable, limit: number): Promise<Buffer | undefined> {
  const reader = new LineReader(limit);
  for (;;) {
    const piece = input.read() as Buffer | null;
    if (piece === null) {
      if (input.readableEnded || input.destroyed) {
        if (input.errored) throw input.errored;
        return undefined;
      }
      await change(input);
      continue;
    }
    reader.push(piece);
    const line = reader.next();
    if (line === undefined) continue;
    const rest = reader.rest();
    if (rest.length > 0) input.unshift(rest);
    return line;
  }
}

function change(input: Readable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const name of ['readable', 'end', 'close'] as const) input.off(name, done);
      resolve();
    };
    for (const name of ['readable', 'end', 'close'] as const) input.once(name, done);
  });
}
