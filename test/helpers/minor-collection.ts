// What the garbage collector leaves of members that came and went.

import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

/** Bytes that a minor collection leaves after 20,000 objects of 2 KB have come and gone, twenty at a time. */
export function leftOf(add: (member: object, index: number) => () => void): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: {type: 'minor'}) => void;
  // Three major collections, so that the tested collection itself is in the old generation.
  for (let i = 0; i < 3; i += 1) collect();
  const before = process.memoryUsage().heapUsed;
  // Fixed places: the store of an array that grows and shrinks is replaced as well.
  const open: (() => void)[] = Array.from({length: 20}, () => () => {});
  for (let i = 0; i < 20_000; i += 1) {
    open[i % 20]?.();
    open[i % 20] = add({filling: new Array(250).fill(i)}, i);
  }
  collect({type: 'minor'});
  return process.memoryUsage().heapUsed - before;
}
