// Passes on the output of a started program. A reader that has stopped must neither fill the memory nor block the program,
// which serves visitors.

import {bytes} from './format.js';

/** More than a burst that a slow reader can still process. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

/** @param reader the stream that `sink` writes to. */
export function outputValve(
  sink: (bytes: Uint8Array) => void,
  reader: {readonly writableLength: number} = process.stderr,
): (bytes: Uint8Array) => void {
  let leftOut = 0;
  return (piece) => {
    if (reader.writableLength > MAX_WAITING_BYTES) {
      leftOut += piece.length;
      return;
    }
    if (leftOut > 0)
      sink(Buffer.from(`\n[${bytes(leftOut)} of output are left out here: they were not read]\n`));
    leftOut = 0;
    sink(piece);
  };
}
