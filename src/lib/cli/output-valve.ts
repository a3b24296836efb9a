// What a started program prints, passed on as long as somebody reads it. A reader that has stopped must neither fill the
// memory nor hold up the program, which has visitors of its own.

import {bytes} from './format.js';

/** More than a burst that a reader is still busy with. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

/** @param reader where `sink` writes to. */
export function outputValve(
  sink: (text: string) => void,
  reader: {readonly writableLength: number} = process.stderr,
): (text: string) => void {
  let leftOut = 0;
  return (text) => {
    if (reader.writableLength > MAX_WAITING_BYTES) {
      leftOut += text.length;
      return;
    }
    if (leftOut > 0) sink(`\n[${bytes(leftOut)} of output are left out here: they were not read]\n`);
    leftOut = 0;
    sink(text);
  };
}
