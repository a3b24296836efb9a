// Passes on the output of a started program. A reader that has stopped must neither fill the memory nor block the program,
// which serves visitors.

import {bytes} from './format.js';

/** More than a burst that a slow reader can still process. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

/** @param reader the stream that `sink` writes to. */
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
